"""The command as a process: exit codes, SIGTERM, and the images."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import render
from conftest import BEARER, docker

from collector import healthcheck, migrate
from collector.settings import Settings

COLLECTOR = [sys.executable, "-m", "collector"]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    names = [
        "database_port",
        "database_name",
        "database_password_file",
        "redis_port",
        "redis_password_file",
        "heartbeat_file",
    ]
    chosen = {f"COLLECTOR_{name.upper()}": str(getattr(settings, name)) for name in names}
    hosts = {"COLLECTOR_DATABASE_HOST": "127.0.0.1", "COLLECTOR_REDIS_HOST": "127.0.0.1"}
    return {**os.environ, **chosen, **hosts, "COLLECTOR_LISTEN_HOST": "127.0.0.1", **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_wrong_setting_stops_the_start_in_one_line() -> None:
    done = subprocess.run(
        [*COLLECTOR, "api"],
        env={**os.environ, "COLLECTOR_LISTEN_PORT": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("collector: setting listen_port (COLLECTOR_LISTEN_PORT): ")
    assert "Traceback" not in done.stderr


@pytest.mark.docker
def test_db_upgrade_says_what_it_did(empty: Settings) -> None:
    command = [*COLLECTOR, "db", "upgrade"]
    done = subprocess.run(command, env=environment(empty), capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"before": None, "after": migrate.head()}), done.stderr


@pytest.mark.docker
def test_db_upgrade_without_a_database_fails_in_one_line(empty: Settings) -> None:
    changed = environment(empty, COLLECTOR_DATABASE_PORT="1", COLLECTOR_DATABASE_WAIT_SECONDS="0")
    done = subprocess.run([*COLLECTOR, "db", "upgrade"], env=changed, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("collector: ")


@pytest.mark.docker
async def test_api_and_worker_serve_log_json_and_end_on_sigterm(settings: Settings) -> None:
    port = free_port()
    key = str(settings.admin_api_key_file)
    variables = environment(settings, COLLECTOR_LISTEN_PORT=str(port), COLLECTOR_ADMIN_API_KEY_FILE=key)
    api, worker = (
        subprocess.Popen([*COLLECTOR, verb], env=variables, stderr=subprocess.PIPE, text=True) for verb in ("api", "worker")
    )
    try:
        for _ in range(100):
            if healthcheck.api(port, "/health/ready") is None and settings.heartbeat_file.exists():
                break
            await asyncio.sleep(0.1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/health")).status_code == 200
            body = {"source_type": "file", "config": {"path": "/nowhere/a.csv"}}
            job = (await client.post("/api/v1/jobs/trigger", json=body, headers={**BEARER, "X-Request-Id": "r7"})).json()
            for _ in range(100):
                if (await client.get(job["status_url"], headers=BEARER)).json()["status"] == "failed":
                    break
                await asyncio.sleep(0.1)
    finally:
        for process in (api, worker):
            process.send_signal(signal.SIGTERM)
    said = []
    for process in (api, worker):
        _, errors = await asyncio.to_thread(process.communicate, None, 10)
        assert process.returncode in (0, -signal.SIGTERM), errors
        said.append([json.loads(line) for line in errors.splitlines()])
        assert all(line["message"] and line["level"] and line["timestamp"] for line in said[-1])
    asked = next(line for line in said[0] if line["message"] == "request" and line["request_id"] == "r7")
    assert (asked["method"], asked["path"], asked["status"], asked["caller"]) == ("POST", "/api/v1/jobs/trigger", 202, "admin")
    done = next(line for line in said[1] if line["message"] == "attempt ended")
    assert (done["job_id"], done["request_id"], done["outcome"]) == (job["job_id"], "r7", "failed")


@pytest.mark.docker
def test_the_image_runs_as_nobody_special_and_knows_its_version() -> None:
    said = docker(
        "run", "--rm", "--read-only", "--cap-drop=ALL", "collector/app:1.0.0",
        "sh", "-c", "id -u; cat /app/VERSION; ls /data/samples; collector healthcheck worker || echo ill",
    ).splitlines()  # fmt: skip
    assert said[:2] == ["10001", "1.0.0"]
    assert "readings.csv" in said
    assert said[-1] == "ill"


@pytest.mark.docker
def test_nginx_accepts_the_rendered_configuration(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(render.render("nginx.conf", "192.0.2.11", "192.0.2.12"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=x",
         "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "tls_nginx").write_text((tmp_path / "cert").read_text() + (tmp_path / "key").read_text())
    docker(
        "run", "--rm", "--read-only", "--tmpfs=/tmp", f"--volume={tmp_path}/nginx.conf:/etc/nginx/nginx.conf:ro",
        f"--volume={tmp_path}/tls_nginx:/run/secrets/tls_nginx:ro", "collector/nginx:1.26", "-t", "-e", "stderr",
    )  # fmt: skip


@pytest.mark.docker
def test_a_backing_service_without_its_password_says_which_file() -> None:
    for image, name in (("collector/postgres:17", "postgres_password"), ("collector/redis:8", "redis_password")):
        done = subprocess.run(["docker", "run", "--rm", image], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"/run/secrets/{name} is missing" in done.stderr
