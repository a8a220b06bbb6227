"""The containers that run, as docker-bench-security looks at them; they are a laptop's, brought up as app/README.md says."""

import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import render
from conftest import docker

pytestmark = pytest.mark.docker
APP = Path(__file__).parents[1]
SERVICES = ("api", "nginx", "postgres", "redis", "worker")
USERS = {"api": 10001, "worker": 10001, "nginx": 101, "postgres": 999, "redis": 999}
PORT = 'services: {nginx: {ports: !override ["127.0.0.1::8443"]}}\n'
FILES = ("compose.yaml", "compose.override.yaml", "port.yaml")


@dataclass(frozen=True)
class Laptop:
    folder: Path
    compose: tuple[str, ...]

    def __call__(self, *words: str) -> str:
        return docker("compose", *self.compose, *words)

    def inspect(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", self("ps", "--quiet", service)))[0]
        return found

    def inside(self, service: str, script: str) -> "subprocess.CompletedProcess[str]":
        words = ["docker", "compose", *self.compose, "exec", "--no-TTY", service, "bash", "-c", script]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def secret(self, name: str) -> str:
        return (self.folder / "dev" / name).read_text()

    def client(self) -> httpx.Client:
        address = self("port", "nginx", "8443")
        trust = ssl.create_default_context(cafile=self.folder / "dev" / "tls_nginx")
        return httpx.Client(base_url=f"https://{address}", verify=trust, headers={"X-API-Key": self.secret("admin_api_key")})


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A copy of the project, brought up by the words of README.md; on a port of its own."""
    folder = tmp_path_factory.mktemp("laptop")
    for name in ("config", "scripts"):
        shutil.copytree(APP / name, folder / name)
    for name in FILES[:2]:
        shutil.copy(APP / name, folder)
    (folder / FILES[2]).write_text(PORT)
    subprocess.run([folder / "scripts/dev-secrets"], check=True)
    render.write(folder / "config")
    made = Laptop(folder, ("--project-name", f"laptop-{folder.parent.name}", *(f"--file={folder / name}" for name in FILES)))
    try:
        made("up", "--detach", "--wait", "--quiet-pull")
        yield made
    finally:
        made("down", "--volumes", "--timeout", "1")


@pytest.fixture(scope="module")
def worked(laptop: Laptop) -> dict[str, Any]:
    """The result of a job, asked for through nginx."""
    with laptop.client() as client:
        assert client.get("/health").json()["status"] == "ok"
        body = {"source_type": "file", "config": {"path": "/data/samples/readings.csv"}}
        job = client.post("/api/v1/jobs/trigger", json=body).json()
        for _ in range(100):
            if client.get(job["status_url"]).json()["status"] == "succeeded":
                break
            time.sleep(0.1)
        found: dict[str, Any] = client.get(job["result_url"]).json()
        return found


def test_a_laptop_runs_it_with_secrets_of_its_own(worked: dict[str, Any]) -> None:
    assert worked["total"] == len(worked["rows"]) > 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_process_is_nobody_special_and_can_become_nothing_else(laptop: Laptop, name: str) -> None:
    lines = (line.partition(":") for line in laptop.inside(name, "cat /proc/1/status").stdout.splitlines())
    status = {name: value.split() for name, _, value in lines}
    assert (set(status["Uid"]), set(status["Gid"])) == ({str(USERS[name])}, {str(USERS[name])})
    assert {int(status[each][0], 16) for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_confined(laptop: Laptop, name: str) -> None:
    host = laptop.inspect(name)["HostConfig"]
    assert (host["Privileged"], host["CapAdd"], host["Devices"], host["PidMode"]) == (False, None, None, "")
    assert (host["IpcMode"], host["UTSMode"], host["UsernsMode"]) == ("private", "", "")
    assert not host["NetworkMode"].startswith(("host", "container"))
    assert 0 < host["Memory"] <= 2**30
    assert 0 < host["NanoCpus"] <= 2 * 10**9
    assert 0 < host["PidsLimit"] <= 256
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert not [bind for bind in host["Binds"] or [] if "docker.sock" in bind]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_writes_to_its_own_volumes_and_memory_only(laptop: Laptop, name: str) -> None:
    script = r"""for at in / /etc /usr/bin /opt /root /run/secrets /app; do touch $at/x 2>/dev/null && echo $at; done
        touch /tmp/x && rm /tmp/x; cp /bin/true /tmp/x && ! /tmp/x 2>/dev/null && rm /tmp/x && echo held"""
    assert laptop.inside(name, script).stdout.split() == ["held"]
    assert laptop.inspect(name)["HostConfig"]["ReadonlyRootfs"]
    mounts = {mount["Destination"] for mount in laptop.inspect(name)["Mounts"] if mount["RW"]}
    assert mounts <= {"/data/inbox", "/var/lib/redis", "/var/lib/postgresql/data"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_told(laptop: Laptop, worked: dict[str, Any], name: str) -> None:
    container = laptop("ps", "--quiet", name)
    image = laptop.inspect(name)["Image"]
    told = docker("inspect", container) + docker("logs", container) + docker("top", container)
    told += docker("image", "inspect", image) + docker("history", "--no-trunc", image)
    told += laptop.inside(name, "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline").stdout
    private = laptop.secret("tls_nginx").partition("PRIVATE KEY-----\n")[2].splitlines()[0]
    secrets = [private, *(laptop.secret(each) for each in ("postgres_password", "redis_password", "admin_api_key"))]
    assert min(map(len, secrets)) >= 32
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_is_there_for_whom_it_is(laptop: Laptop, name: str) -> None:
    seen = set(laptop.inside(name, "ls /run/secrets").stdout.split())
    needed = {"nginx": {"tls_nginx"}, "postgres": {"postgres_password"}, "redis": {"redis_password"}}
    backing = {"postgres_password", "redis_password"}
    assert seen == {**needed, "worker": backing, "api": backing | {"admin_api_key"}}[name]


def test_nginx_reaches_the_api_and_neither_postgresql_nor_redis(laptop: Laptop) -> None:
    def reached(service: str, port: int) -> list[bool]:
        networks = laptop.inspect(service)["NetworkSettings"]["Networks"].values()
        return [
            laptop.inside("nginx", f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'").returncode == 0
            for address in (service, *(network["IPAddress"] for network in networks))
        ]

    assert any(reached("api", 8000))
    assert not any(reached("postgres", 5432) + reached("redis", 6379))


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_says_what_it_is(laptop: Laptop, name: str) -> None:
    image = json.loads(docker("image", "inspect", laptop.inspect(name)["Image"]))[0]["Config"]
    known = {name.removeprefix("org.opencontainers.image.") for name in image["Labels"]}
    assert {"title", "description", "licenses", "version"} <= known
    assert image["User"].split(":")[0] == str(USERS[name])
    assert image["Healthcheck"]["Test"][0] == "CMD"


def test_no_command_needs_a_shell(laptop: Laptop) -> None:
    """Where every shell is an empty file, the service's own commands start all the same."""
    hidden = [f"--volume=/dev/null:/usr/bin/{shell}:ro" for shell in ("dash", "bash")]
    for command in (("collector", "--help"), ("python", "-c", "import collector.healthcheck")):
        docker("run", "--rm", "--network=none", *hidden, laptop.inspect("api")["Image"], *command)


def test_a_change_of_the_code_is_small_layers_at_the_end(laptop: Laptop, tmp_path: Path) -> None:
    for name in ("requirements.txt", "Dockerfile", ".dockerignore"):
        shutil.copy(APP / name, tmp_path)
    for name in ("wheels", "samples", "collector"):
        shutil.copytree(APP / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "collector" / "start.py").open("a") as file:
        file.write("CHANGED = True\n")
    before, after = laptop.inspect("api")["Image"], docker("build", "--quiet", str(tmp_path))
    try:
        old, new = (json.loads(docker("image", "inspect", image))[0]["RootFS"]["Layers"] for image in (before, after))
        sizes = [int(size) for size in docker("history", "--human=false", "--format={{.Size}}", after).split()]
    finally:
        docker("image", "rm", after)
    assert old[:-2] == new[:-2]
    assert old[-2] != new[-2]
    assert sum([size for size in sizes if size][:2]) < 1_000_000


def test_a_container_stops_within_its_time_and_says_that_it_ended_well(laptop: Laptop, worked: dict[str, Any]) -> None:
    """Last: it stops them all. 137 would be a kill -9."""
    laptop("stop")
    for name in SERVICES:
        ended = json.loads(docker("inspect", laptop("ps", "--all", "--quiet", name)))[0]["State"]
        assert (ended["Status"], ended["ExitCode"] in (0, 143), ended["OOMKilled"]) == ("exited", True, False), name
