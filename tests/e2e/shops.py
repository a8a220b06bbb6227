"""A small product of one image, so that an install takes seconds, and the site that it is installed at; for what goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployctl.commands.exits import Exit
from places import USB, VAULT, Done, Place

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

    def broken(self, word: str, action: str, bundle: str = f"{USB}/{GOOD}") -> Done:
        """The install, and what is done in its shell as soon as it has said this; $! is its process group."""
        return self.place.deploy(
            f"set -m; : > said; deployctl install --client {self.place.client} {VAULT} {bundle} 2> said & "
            f"until grep -q '{word}' said || ! kill -0 $!; do sleep 0.02; done; {action}; wait $!; code=$?;"
            " cat said >&2; exit $code",
            check=False,
        )

    @contextmanager
    def slow_wire(self) -> Iterator[None]:
        """The deploy node sends 40 Mbit/s, so that a transfer can be met."""
        self.place.on("deploy", "tc qdisc replace dev eth0 root tbf rate 40mbit burst 64k latency 50ms")
        try:
            yield
        finally:
            self.place.on("deploy", "tc qdisc del dev eth0 root")

    def hang_up(self) -> None:
        """End the connections that wait for the next command."""
        self.place.deploy("for s in /tmp/deployctl-*/*; do ssh -o ControlPath=$s -O exit x; done; true")

    def state(self) -> dict[str, str]:
        """What lies and runs on each host."""
        script = (
            "find /etc/deployctl /var/lib/deployctl /run/deployctl* -type f ! -name lock.json -exec sha256sum {} + 2>/dev/null;"
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

    def running(self) -> set[str]:
        """The containers that run, as host/service."""
        return {f"{host}/{name}" for host, text in self.state().items() for name in re.findall(r" running shop-(\w+)-1", text)}

    def at_work(self) -> str:
        """What of an install runs or lies on the deploy node."""
        return self.place.deploy("pgrep -af '[a]nsible-playbook'; ls -d /dev/shm/deployctl-work-*", check=False).stdout


def complains(done: Done, code: Exit, *words: str) -> None:
    """It ended with this code and said all of this, with no traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert not [word for word in words if word not in said], said
