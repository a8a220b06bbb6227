"""What goes wrong at a site: refused before anything changes, or broken off so that the same command ends well afterwards.

A small product of one image, so that an install takes seconds. The tests follow each other: a clean site, all that is
refused there, what breaks a first install, at last an upgrade.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployctl import rehearsal
from deployctl.commands.exits import Exit
from places import USB, VAULT, Done, Place, Vendor

pytestmark = pytest.mark.e2e
GOOD, SICK, STUCK = "shop-1.0.0.bundle.tar", "shop-1.1.0.bundle.tar", "shop-1.2.0.bundle.tar"
COMPOSE = """\
name: shop
x-deployctl:
  version: VERSION
  flows:
    - {from: clients, to: front:8443}
    - {from: front, to: app:8000}
    - {from: app, to: store:6379}
  secrets: {till: {kind: password}}
secrets: {till: {file: ./till}}
x-redis: &redis
  image: collector/redis:8
  entrypoint: [env]
  user: "999:999"
  restart: unless-stopped
services:
  front:
    <<: *redis
    command: [redis-server, --port, "8443", --save, "", --protected-mode, "no"]
    ports: ["8443:8443"]
    healthcheck: {test: [CMD, redis-cli, -p, "8443", ping], interval: 1s, retries: 5}
    depends_on: [app]
    x-deployctl: {segment: dmz}
  app:
    <<: *redis
    image: IMAGE
    command: APP
    expose: [8000]
    healthcheck: {test: [CMD, redis-cli, -p, "8000", ping], interval: 1s, retries: 5}
    depends_on: [store]
    x-deployctl: {segment: internal, migrate: MIGRATE}
  store:
    <<: *redis
    command: [redis-server, --save, "", --protected-mode, "no"]
    expose: [6379]
    secrets: [till]
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s, retries: 5}
    x-deployctl: {segment: data}
"""
WORKS = '[redis-server, --port, "8000", --save, "", --protected-mode, "no"]'


def project(folder: Path, version: str, app: str = WORKS, migrate: str = "['true']", image: str = "collector/redis:8") -> Path:
    """The shop's project."""
    text = COMPOSE.replace("VERSION", version).replace("APP", app).replace("MIGRATE", migrate).replace("IMAGE", image)
    folder.mkdir()
    (folder / "compose.yaml").write_text(text)
    return folder


@dataclass(frozen=True)
class Shop:
    """The site, and what the tests ask of it."""

    place: Place

    @property
    def settings(self) -> str:
        """client.yml, seen from the deploy node's home."""
        return f"inventories/{self.place.client}/group_vars/all/client.yml"

    def install(self, bundle: str = GOOD) -> Done:
        """The install, which may fail."""
        return self.place.install(bundle, check=False)

    def broken(self, bundle: str, word: str, signal: str) -> Done:
        """The install, its process group sent a signal as soon as it has said this."""
        return self.place.deploy(
            f"set -m; : > said; deployctl install --client {self.place.client} {VAULT} {USB}/{bundle} 2> said & "
            f"until grep -q '{word}' said || ! kill -0 $!; do sleep 0.02; done; kill -{signal} -- -$!; wait $!; code=$?;"
            " cat said >&2; exit $code",
            check=False,
        )

    def hang_up(self) -> None:
        """End the connections that wait for the next command."""
        self.place.deploy("for s in /tmp/deployctl-*/*; do ssh -o ControlPath=$s -O exit x; done; true")

    def state(self) -> dict[str, str]:
        """What lies and runs on each host."""
        script = (
            "find /etc/deployctl /var/lib/deployctl /run/deployctl -type f ! -name lock.json -exec sha256sum {} + 2>/dev/null;"
            " docker ps -a --no-trunc --format '{{.ID}} {{.State}} {{.Names}}'; nft list tables"
        )
        names = [host.name for host in self.place.site.targets]
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(names, pool.map(lambda name: self.place.on(name, script).stdout, names), strict=True))

    def records(self) -> dict[str, str]:
        """The version that each host's record says."""
        found = {}
        for host in self.place.site.targets:
            text = self.place.on(host.name, "cat /var/lib/deployctl/shop/record.json 2>/dev/null || true").stdout
            found[host.name] = json.loads(text)["release"]["version"] if text else ""
        return found

    def locked(self) -> set[str]:
        """The hosts that somebody holds, even if his lease has run out."""
        script = "grep -s holder /var/lib/deployctl/shop/lock.json || true"
        return {host.name for host in self.place.site.targets if self.place.on(host.name, script).stdout}

    def left(self) -> str:
        """What a run should not leave on the deploy node: its secrets in memory, its Ansible."""
        return self.place.deploy("ls -d /dev/shm/deployctl-* /tmp/deployctl-run-* 2>/dev/null; pgrep -a ansible; true").stdout


def complains(done: Done, code: Exit, *words: str) -> None:
    """It ended with this code and said all of this, with no traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert not [word for word in words if word not in said], said


@pytest.fixture(scope="module")
def shop(acme: Place, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A clean site, and on the medium a release that works, one that never gets healthy, one whose migration fails."""
    folder = tmp_path_factory.mktemp("shop")
    vendor.bundle(project(folder / "good", "1.0.0"))
    vendor.bundle(project(folder / "sick", "1.1.0", app="[sh, -c, 'echo the till is jammed; exit 3']"))
    stuck = "[sh, -c, 'echo the shelves do not fit; exit 4']"
    vendor.bundle(project(folder / "stuck", "1.2.0", migrate=stuck, image="collector/nginx:1.26"))
    acme.reset()
    return Shop(acme)


@pytest.fixture
def untouched(shop: Shop) -> Iterator[None]:
    """No host is other than before."""
    before = shop.state()
    yield
    assert shop.state() == before


# refused, by what the client says ------------------------------------------------------------------------------------


def test_a_secret_that_nobody_made_is_named(shop: Shop, untouched: None) -> None:
    complains(shop.install(), Exit.INPUT, "vault.yml: no value for till", "deployctl secrets generate")
    shop.place.deploy(f"deployctl secrets generate --client {shop.place.client} {VAULT} {USB}/{GOOD}")


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("placed: {front: dmz}", ("client.yml:", "placed: unknown key", 'did you mean "place"?')),
        ("place: {front: dmx}", ("client.yml", 'neither a segment nor a host is called "dmx"', 'did you mean "dmz"?')),
        ("place: {frnt: dmz}", ('place.frnt: no service "frnt"', 'did you mean "front"?')),
        ("ports: {front: {8443: high}}", ("ports.front", "valid integer", "'high'")),
        ("settings: [", ("client.yml: is not YAML", "line")),
    ],
    ids=["key", "segment", "service", "type", "syntax"],
)
def test_what_client_yml_cannot_mean_is_refused(shop: Shop, untouched: None, added: str, words: tuple[str, ...]) -> None:
    shop.place.deploy(f"cp {shop.settings} kept; echo '{added}' >> {shop.settings}")
    done = shop.install()
    shop.place.deploy(f"mv kept {shop.settings}")
    complains(done, Exit.INPUT, *words)


def test_a_client_or_a_password_that_is_not_right(shop: Shop, untouched: None) -> None:
    client, rest = shop.place.client, f"{USB}/{GOOD} < /dev/null"
    cases = {
        f"acmee-e2e {VAULT}": ('no inventory for client "acmee-e2e"', f'did you mean "{client}"?'),
        f"{client} --vault-password-file wrong": ("does not open it", "vault.yml", "--vault-password-file"),
        client: ("no vault password", "--vault-password-file"),
    }
    shop.place.deploy("echo wrong > wrong")
    for words, said in cases.items():
        complains(shop.place.deploy(f"deployctl install --client {words} {rest}", check=False), Exit.INPUT, *said)


# refused, by what the hosts are --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ill(shop: Shop) -> Done:
    """An install where every host has a problem of its own."""
    place, before = shop.place, shop.state()
    shop.hang_up()
    place.on("app1", "systemctl stop docker docker.socket")
    place.on("app2", "mv /etc/sudoers.d/rehearsal /root/")
    place.on("db1", "mv /home/ops/.ssh/authorized_keys /root/")
    rehearsal.cut_cable(place.client, "web1")
    done = shop.install()
    rehearsal.plug(place.client, "web1")
    place.on("app1", "systemctl start docker.socket docker")
    place.on("app2", "mv /root/rehearsal /etc/sudoers.d/")
    place.on("db1", "mv /root/authorized_keys /home/ops/.ssh/")
    assert shop.state() == before
    return done


@pytest.mark.parametrize(
    "words",
    [
        ("4 to mend before anything changes",),
        ("web1: ", ".10.11 port 22: ", "is the machine on"),
        ("app1: no Docker engine", "apt-get install docker"),
        ("app2: sudo refused ops", "NOPASSWD"),
        ("db1: sshd refused ops@", "authorized_keys"),
    ],
    ids=["all", "unreachable", "no-docker", "no-sudo", "no-login"],
)
def test_all_that_is_wrong_with_the_hosts_is_one_list(ill: Done, words: tuple[str, ...]) -> None:
    complains(ill, Exit.SITE, *words)


@pytest.fixture(scope="module")
def unfit(shop: Shop) -> Iterator[Done]:
    """An install on one host that is new and one that nobody knows; a third is too small, its port taken, without Compose."""
    place = shop.place
    rehearsal.reset(place.site, ["db1"], deploy_node=False, new_host_keys=True)
    rehearsal.reset(place.site, ["web1"], deploy_node=False, disks={"web1": "64m"})
    shop.hang_up()
    known = f"inventories/{place.client}/known_hosts"
    address = place.site.hosts["app1"].address
    place.deploy(f"cp {known} kept; grep -v '^{address} ' kept > {known}")
    place.on("web1", "setsid python3 -m http.server 8443 >/dev/null 2>&1 </dev/null & for p in /usr/*/docker/cli-plugins; do"
             " mv $p/docker-compose $p/away; done; until bash -c '</dev/tcp/127.0.0.1/8443'; do sleep 0.1; done")  # fmt: skip
    before = shop.state()
    done = shop.install()
    assert shop.state() == before
    place.deploy(f"mv kept {known}")
    yield done
    place.reset("web1")


@pytest.mark.parametrize(
    "words",
    [
        ("db1: the host key is another one: pinned ssh-ed25519 SHA256:", "got ssh-ed25519 SHA256:", "trust hosts --replace"),
        ("app1: no host key is pinned; the host shows ssh-ed25519 SHA256:", "deployctl trust hosts"),
        ("web1: too little disk in /var/lib/docker: 64 MiB free", "MiB needed", "free "),
        ("web1: port 8443/tcp is in use", "client.yml: ports"),
        ("web1: no `docker compose`", "apt-get install docker-compose"),
    ],
    ids=["other-key", "unknown-key", "disk", "port", "no-compose"],
)
def test_hosts_that_are_not_fit(unfit: Done, words: tuple[str, ...]) -> None:
    complains(unfit, Exit.SITE, *words)


def test_another_host_key_is_pinned_only_if_a_person_says_so(shop: Shop, unfit: Done) -> None:
    trust = f"deployctl trust hosts --client {shop.place.client}"
    known = f"cat inventories/{shop.place.client}/known_hosts"
    before = shop.place.deploy(known).stdout
    words = ("CHANGED, pinned is SHA256:", "pinned ssh-ed25519 SHA256:", "got ssh-ed25519 SHA256:", "--replace")
    complains(shop.place.deploy(f"{trust} --yes", check=False), Exit.SITE, *words)
    complains(shop.place.deploy(f"{trust} --replace < /dev/null", check=False), Exit.INPUT, "nothing was pinned", "--yes")
    assert shop.place.deploy(known).stdout == before
    shop.place.deploy(f"{trust} --yes --replace")
    assert shop.place.deploy(known).stdout != before
