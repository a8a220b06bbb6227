"""What the rehearsal keeps between commands, in the inventory's .site/rehearsal: keys, the router's rules, the medium."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from deploybundle.errors import LockedError
from deploybundle.whole import write_whole
from deployctl.rehearsal.topology import Machine, Topology

MARKER = "/etc/deployctl-rehearsal"
"""On every machine of a rehearsal, and on no other: what must never touch a real site looks for it."""


class RehearsalBusy(LockedError):
    """Another command changes this rehearsal.

    Wait until the other command has ended.
    """

    code = "rehearsal-busy"


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold the rehearsal of this state folder. Raises RehearsalBusy at once if somebody else does."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RehearsalBusy("another command is changing this rehearsal", place=str(folder)) from None
        yield


def write(topology: Topology) -> None:
    """Make what the machines are handed at their start; keys that are there are kept."""
    operator = _key(topology.state / "id_ed25519")
    for machine in topology.machines:
        if machine.kind in ("host", "deploy"):
            _machine(topology, machine, operator)
    legs = [f"{network.leg} {network.gateway}/{network.cidr.prefixlen}\n" for network in topology.networks]
    _put(topology.state / "router" / "legs", "".join(legs))


def forget_host_keys(topology: Topology, names: list[str]) -> None:
    """The machines come back with other host keys, as machines that were set up anew."""
    for name in names:
        for end in ("", ".pub"):
            (topology.state / "machines" / name / f"ssh_host_ed25519_key{end}").unlink(missing_ok=True)


def write_rules(folder: Path, rules: str) -> None:
    """The router's ruleset, which it loads at each start."""
    _put(folder / "router" / "rules.nft", rules)


def medium(folder: Path, given: Path | None) -> Path:
    """The folder that the deploy node sees at /media/usb: the one given, else the last one, else an empty one."""
    remembered = folder / "medium"
    if given is not None:
        _put(remembered, f"{given.resolve()}\n")
    if remembered.exists():
        return Path(remembered.read_text().strip())
    empty = folder / "no-medium"
    empty.mkdir(exist_ok=True)
    return empty


def remove(folder: Path) -> None:
    """Leave nothing, neither the folder nor the empty one around it."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def _machine(topology: Topology, machine: Machine, operator: str) -> None:
    folder = topology.state / "machines" / machine.name
    _key(folder / "ssh_host_ed25519_key")
    _put(folder / "user", f"{machine.user}\n")
    _put(folder / "marker", f"{topology.client}\nThis machine is a rehearsal of a client's, made by deployctl.\n")
    _put(folder / "sshd.conf", sshd(machine))
    if machine.kind == "host":
        return _put(folder / "authorized_keys", operator)
    shutil.copyfile(topology.state / "id_ed25519", folder / "id_ed25519")
    (folder / "id_ed25519").chmod(0o600)
    return _put(folder / "config", ssh_config(topology))


def sshd(machine: Machine) -> str:
    """A hardened sshd, as clients have them: keys only, one user, no forwarding."""
    root = "prohibit-password" if machine.user == "root" else "no"
    return f"""\
Port {machine.port}
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin {root}
AllowTcpForwarding no
AllowAgentForwarding no
X11Forwarding no
AllowUsers {machine.user}
"""


def ssh_config(topology: Topology) -> str:
    """The operator's own settings on the deploy node."""
    hosts = [machine for machine in topology.machines if machine.kind == "host"]
    known = [f"Host {host.name} {host.address}\n  User {host.user}\n  Port {host.port}\n" for host in hosts]
    return "".join(known) + "Host *\n  IdentityFile ~/.ssh/id_ed25519\n"


def _key(path: Path) -> str:
    """An Ed25519 key at this path, made if missing; returns its public line."""
    public = path.with_name(f"{path.name}.pub")
    if not public.exists():
        private = Ed25519PrivateKey.generate()
        _put(path, private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode())
        _put(public, private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n")
    return public.read_text()


def _put(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, text.encode(), mode=0o600)
