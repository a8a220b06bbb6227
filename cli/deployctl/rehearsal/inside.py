"""Acting on a machine that stands: commands, a shell, files."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from deployctl.rehearsal import docker, naming

BOOT_LIMIT = 120
READY = {
    "router": "until [ -e /run/ready ]; do sleep 0.1; done",
    "external": "until nc -z 127.0.0.1 7; do sleep 0.1; done",
    "network": "true",
}
BOOTED = """
until s=$(systemctl is-system-running 2>/dev/null) || [ "$s" = degraded ]; do sleep 0.1; done
systemctl --failed --plain --no-legend
"""


def exec_in(
    client: str, machine: str, argv: Sequence[str], *, user: str = "root", given: str | bytes | None = None, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command on a machine and return what it said; with `check`, raise DockerFailed when it fails."""
    return docker.run(["exec", "-i", "-u", user, naming.container(client, machine), *argv], given=given or b"", check=check)


def interactive(client: str, machine: str, argv: Sequence[str], *, user: str, terminal: bool) -> int:
    """Run a command, or a login shell, on the caller's own terminal; returns its exit code."""
    command = list(argv) or ["bash", "-l"]
    home = "/root" if user == "root" else f"/home/{user}"
    flags = ["-i", *(["-t"] if terminal else []), "-u", user, "-w", home]
    return docker.attached(["exec", *flags, naming.container(client, machine), *command])


def put(client: str, machine: str, folder: Path, where: str, *, user: str = "ops", skip: Sequence[str] = ()) -> None:
    """Copy what lies in `folder` into `where` on a machine, relative to the user's home, as that user's files."""
    script = 'cd && mkdir -p -- "$1" && tar -xf - -C "$1" --no-same-owner'
    exec_in(client, machine, ["sh", "-c", script, "sh", where], user=user, given=_tar(folder, skip), check=True)


def wait_ready(client: str, machine: str, kind: str) -> str:
    """Wait until a machine has booted; returns the units that failed, if any did. Raises DockerFailed after two minutes."""
    script = READY.get(kind, BOOTED)
    done = docker.run(["exec", naming.container(client, machine), "timeout", str(BOOT_LIMIT), "sh", "-c", script], check=False)
    if done.returncode != 0:
        logs = docker.run(["logs", "--tail", "20", naming.container(client, machine)], check=False)
        said = (done.stderr + logs.stdout + logs.stderr).strip()
        raise docker.DockerFailed(f"did not start within {BOOT_LIMIT} s: {said}", place=machine)
    return " ".join(line.split()[0] for line in done.stdout.splitlines() if line.strip())


def _tar(folder: Path, skip: Sequence[str]) -> bytes:
    """The folder's content as a tar, without the entries named in `skip`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in sorted(folder.iterdir()):
            if entry.name not in skip:
                archive.add(entry, entry.name)
    return buffer.getvalue()
