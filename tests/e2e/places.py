"""The real thing: bundles of the product's images, a vendor's machine (this one), and a client's site as containers.

Sites are copies of the inventories in the repository, moved to other networks, so that a demo may stand beside them.
With E2E_SUFFIX set to one of `a` to `h` they go to others still, so that several runs may stand beside each other.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployctl import rehearsal
from deployctl.site import Site

ROOT = Path(__file__).resolve().parents[2]
USB = "/media/usb"
SUFFIX = os.environ.get("E2E_SUFFIX", "")
NETWORKS = {like: str(first + 10 * ("", *"abcdefgh").index(SUFFIX)) for like, first in (("acme", 87), ("globex", 88))}
KEYS: dict[str, str] = {}
VAULT = "--vault-password-file vault-password"
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Vendor:
    """The vendor's machine: a key, and bundles in `medium`, which deploy nodes see as /media/usb."""

    home: Path
    medium: Path

    def run(self, *words: str, check: bool = True) -> Done:
        """deployctl on the vendor's machine."""
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "200"}
        done = subprocess.run(["deployctl", *words], capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def bundle(self, project: Path, *words: str) -> Path:
        """A project's bundle, on the medium."""
        done = self.run("bundle", str(project), "--out", str(self.medium), *words)
        return Path(ROOT, done.stdout.strip())


@dataclass(frozen=True)
class Place:
    """A client's rehearsed site."""

    site: Site

    @property
    def client(self) -> str:
        """The client's name."""
        return self.site.name

    def on(self, machine: str, script: str, *, user: str = "root", check: bool = True) -> Done:
        """A shell script on one of its machines."""
        done = rehearsal.exec_in(self.client, machine, ["bash", "-lc", script], user=user, check=False)
        assert not check or done.returncode == 0, f"{machine}$ {script}\n{done.stdout}{done.stderr}"
        return done

    def deploy(self, script: str, *, check: bool = True) -> Done:
        """A shell script on the deploy node, as its user, in its home."""
        return self.on("deploy", f"cd; {script}", user="ops", check=check)

    def install(self, bundle: str, *words: str, check: bool = True) -> Done:
        """`deployctl install` of a bundle of the medium."""
        return self.deploy(f"deployctl install --client {self.client} {VAULT} {' '.join(words)} {USB}/{bundle}", check=check)

    def installed(self, bundle: str, *words: str) -> dict[str, Any]:
        """The same, its report as data."""
        found: dict[str, Any] = json.loads(self.install(bundle, "--json", *words).stdout)
        return found

    def prepare(self, bundle: str) -> None:
        """What an engineer does on a bare deploy node: check, install deployctl, trust, make the secrets."""
        self.deploy(
            f"set -e; B={USB}/{bundle}; tar -xf $B --occurrence=1 oci-layout index.json deployctl/index.sshsig;"
            f' echo "vendor $(cut -d" " -f1,2 {USB}/vendor.pub)" > allowed;'
            " ssh-keygen -Y verify -f allowed -I vendor -n deployctl-bundle -s deployctl/index.sshsig < index.json;"
            ' I=$(grep -o "deployctl.installer\\":\\"sha256:[0-9a-f]*" index.json | cut -d: -f3);'
            ' tar -xOf $B --occurrence=1 blobs/sha256/$I > install.py; echo "$I  install.py" | sha256sum -c;'
            f" sudo python3 install.py $B; deployctl trust add --yes {USB}/vendor.pub;"
            f" deployctl trust hosts --client {self.client} --yes;"
            " umask 077; head -c 24 /dev/urandom | base64 > vault-password;"
            f" deployctl secrets generate --client {self.client} {VAULT} $B"
        )

    def reset(self, *hosts: str) -> None:
        """Clean hosts; the deploy node keeps what is installed there."""
        rehearsal.reset(self.site, list(hosts) or [host.name for host in self.site.targets], deploy_node=False)

    def open_ports(self, machine: str, ports: Iterable[int]) -> set[str]:
        """Which of these ports of the site's hosts a machine can reach, as host:port."""
        tries = "".join(
            f"(timeout 2 bash -c 'exec 3<>/dev/tcp/{host.address}/{port}' && echo {host.name}:{port}) 2>/dev/null &\n"
            for host in self.site.targets
            for port in ports
        )
        return set(self.on(machine, f"{tries}wait").stdout.split())

    def curl(self, url: str, *words: str, machine: str = "clients") -> str:
        """What a machine of the network `clients` gets; hosts of the site may be called by name in the URL."""
        for host in self.site.targets:
            url = url.replace(f"//{host.name}:", f"//{host.address}:")
        if "/api/v1/" in url and not any(word.startswith("X-API-Key") for word in words):
            words = (*self.key(), *words)
        return self.on(machine, shlex.join(["curl", "-sSk", "--max-time", "10", *words, url])).stdout

    def key(self) -> tuple[str, ...]:
        """Words for curl that make the collector's administrator of whoever asks."""
        if self.client not in KEYS:
            file = f"inventories/{self.client}/group_vars/all/vault.yml"
            text = self.deploy(f"/opt/deployctl/current/bin/ansible-vault view {VAULT} {file}").stdout
            KEYS[self.client] = yaml.safe_load(text)["collector"]["admin_api_key"]
        return "-H", f"X-API-Key: {KEYS[self.client]}"

    def asked(self, url: str, *words: str) -> dict[str, Any]:
        """The same, read as JSON."""
        found: dict[str, Any] = json.loads(self.curl(url, *words))
        return found

    def logs(self, host: str, container: str) -> list[dict[str, Any]]:
        """The log lines of a container that writes JSON."""
        lines = self.on(host, f"docker logs {container} 2>&1").stdout.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def journal(self, question: str) -> list[list[Any]]:
        """What the journal answers to a question in SQL; the deploy node has no sqlite3 program."""
        file = f"inventories/{self.client}/.site/journal.sqlite"
        program = f"import json, sqlite3; print(json.dumps(sqlite3.connect({file!r}).execute({question!r}).fetchall()))"
        found: list[list[Any]] = json.loads(self.deploy(f"python3 -c {shlex.quote(program)}").stdout)
        return found

    def status(self, *words: str) -> Done:
        """`deployctl status`."""
        return self.deploy(f"deployctl status --client {self.client} {' '.join(words)}", check=False)

    def settled(self, seconds: float = 90) -> Done:
        """Wait until the site says that all is healthy; the last answer."""
        last = time.monotonic() + seconds
        while (done := self.status()).returncode != 0 and time.monotonic() < last:
            time.sleep(1)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def containers(self) -> dict[str, str]:
        """host/service -> the container's id and when it started."""
        found = {}
        for host in self.site.targets:
            text = "docker ps -aq | xargs -r docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}'"
            for line in self.on(host.name, text).stdout.splitlines():
                name, _, rest = line.partition(" ")
                found[f"{host.name}{name}"] = rest
        return found


def moved(client: str, like: str, network: str, folder: Path) -> Path:
    """A copy of an inventory of the repository for a client of another name, in 10.<network>.0.0/16."""
    copy = folder / client
    shutil.copytree(ROOT / "inventories" / like, copy, ignore=shutil.ignore_patterns(".site", "known_hosts", "vault.yml"))
    before = {"acme": "10.77.", "globex": "10.78."}[like]
    for path in copy.rglob("*.yml"):
        path.write_text(path.read_text().replace(before, f"10.{network}."))
    return copy
