"""The real thing: bundles of the product's images, a vendor's machine (this one), and a client's site as containers.

Sites are copies of the inventories in the repository, moved to other networks, so that a demo may stand beside them.
With E2E_SUFFIX set to `a`, `b` or `c` they go to others still, so that several runs may stand beside each other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployctl import rehearsal
from deployctl.site import Site

ROOT = Path(__file__).resolve().parents[2]
USB = "/media/usb"
SUFFIX = os.environ.get("E2E_SUFFIX", "")
NETWORKS = {like: str(first + 10 * ("", "a", "b", "c").index(SUFFIX)) for like, first in (("acme", 87), ("globex", 88))}
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
