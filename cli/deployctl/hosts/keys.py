"""Host keys: asked for, shown as fingerprints, pinned; and why a login fails, told precisely.

paramiko speaks the protocol, so the reasons are types and not words to parse. It opens the TCP connection itself: a
host behind a jump host (ProxyJump, ProxyCommand) cannot be asked that way; OpenSSH scans its key through the jump host.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from deploybundle.errors import SiteError
from deploybundle.whole import write_whole
from deployctl.hosts.errors import ConnectionRefused, HostKeyChanged, HostKeyUnknown, LoginRefused, SshSilent, Unreachable
from deployctl.site import Host

TIMEOUT = 10.0
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its threads log tracebacks of what we tell ourselves
PREFERRED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")


@dataclass(frozen=True)
class HostKey:
    """A host's public key; `name` as known_hosts spells it: the address, or [address]:port."""

    name: str
    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        """A line of known_hosts."""
        return f"{self.name} {self.kind} {base64.b64encode(self.blob).decode()}"


def known_name(host: Host) -> str:
    """The name that OpenSSH looks up: plain at port 22, else [address]:port."""
    port = _port(host)
    return host.address if port == 22 else f"[{host.address}]:{port}"


def scan(host: Host) -> HostKey:
    """The key that the host shows now. Raises Unreachable or ConnectionRefused."""
    if jumps(host):
        return _scan_through_jump(host)
    with _transport(host) as transport:
        key = transport.get_remote_server_key()
    return HostKey(known_name(host), key.get_name(), key.asbytes())


def jumps(host: Host) -> bool:
    """Whether the inventory sends ssh through another machine."""
    words = _ssh_words(host)
    return "-J" in words or any("ProxyJump" in word or "ProxyCommand" in word for word in words)


def _ssh_words(host: Host) -> list[str]:
    said = (host.variables.get(f"ansible_ssh_{kind}_args") for kind in ("common", "extra"))
    return [word for words in said if words for word in shlex.split(str(words))]


def pinned(known_hosts: Path) -> dict[str, HostKey]:
    """What is pinned, by name. Lines that we do not write (hashed names, markers) are left out."""
    found = {}
    for line in known_hosts.read_text(encoding="utf-8").splitlines() if known_hosts.exists() else []:
        words = line.split()
        if len(words) >= 3 and line[0] not in "#|@":
            for name in words[0].split(","):
                found[name] = HostKey(name, words[1], base64.b64decode(words[2]))
    return found


def pin(known_hosts: Path, keys: Sequence[HostKey], *, replace: bool = False) -> None:
    """Write the keys down, whole or not at all. Raises HostKeyChanged where another key is pinned, unless `replace`."""
    known = pinned(known_hosts)
    for key in keys:
        before = known.get(key.name)
        if before is not None and before.blob != key.blob and not replace:
            raise changed(key.name, before, key)
        known[key.name] = key
    _write(known_hosts, known)


def _write(known_hosts: Path, known: Mapping[str, HostKey]) -> None:
    text = "".join(f"{known[name].line}\n" for name in sorted(known))
    write_whole(known_hosts, text.encode(), mode=0o644)


def changed(place: str, before: HostKey, now: HostKey) -> HostKeyChanged:
    """The error that shows both fingerprints."""
    return HostKeyChanged(
        f"the host key is another one: pinned {before.kind} {before.fingerprint}, got {now.kind} {now.fingerprint}",
        place=place,
        hint="if it was set up anew, compare the fingerprint at its console, then `deployctl trust hosts --replace`",
    )


def unknown(place: str, now: HostKey) -> HostKeyUnknown:
    """The error for a host that nobody has looked at yet."""
    return HostKeyUnknown(
        f"no host key is pinned; the host shows {now.kind} {now.fingerprint}",
        place=place,
        hint="`deployctl trust hosts` shows the fingerprints and pins them",
    )


def diagnose(host: Host, known_hosts: Path, said: str) -> SiteError:
    """Why ssh did not get in: asked step by step. `said` are ssh's own words, used where we cannot ask ourselves."""
    try:
        shown = scan(host)
    except SiteError as problem:
        return problem
    known = pinned(known_hosts).get(known_name(host))
    if known is None:
        return unknown(host.name, shown)
    if known.kind == shown.kind and known.blob != shown.blob:
        return changed(host.name, known, shown)
    user = host.variables.get("ansible_user") or "this user"
    return LoginRefused(
        f"sshd refused {user}@{host.address}: {said.splitlines()[-1] if said else 'no reason given'}",
        place=host.name,
        hint="check ansible_user and ansible_ssh_private_key_file, and that user's authorized_keys on the host",
    )


@contextlib.contextmanager
def _transport(host: Host) -> Iterator[paramiko.Transport]:
    transport = paramiko.Transport(_connect(host))
    transport.banner_timeout = TIMEOUT
    options = transport.get_security_options()
    options.key_types = [kind for kind in PREFERRED if kind in options.key_types]
    try:
        transport.start_client(timeout=TIMEOUT)
        yield transport
    except (paramiko.SSHException, EOFError, OSError) as problem:
        words = f"{host.address} port {_port(host)} takes connections, but does not answer as SSH does: {problem}"
        hint = f"is it sshd? if so, something between eats large packets: try `ping -M do -s 1400 {host.address}`"
        raise SshSilent(words, place=host.name, hint=hint) from problem
    finally:
        transport.close()


def _connect(host: Host) -> socket.socket:
    place = f"{host.address} port {_port(host)}"
    try:
        return socket.create_connection((host.address, _port(host)), timeout=TIMEOUT)
    except ConnectionRefusedError as problem:
        hint = "start sshd there, or set ansible_port"
        raise ConnectionRefused(f"{place} refused the connection", place=host.name, hint=hint) from problem
    except OSError as problem:
        words = "no answer within 10 s" if isinstance(problem, TimeoutError) else problem.strerror or str(problem)
        hint = "is the machine on, and does the firewall let this machine reach its SSH port?"
        raise Unreachable(f"{place}: {words}", place=host.name, hint=hint) from problem


def _scan_through_jump(host: Host) -> HostKey:
    """ssh itself writes down the key that it was shown; it never gets as far as a login."""
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        file = Path(folder) / "known_hosts"
        command = [
            "ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={TIMEOUT:g}", "-o", "HashKnownHosts=no",
            "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={file}", "-o", "ControlPath=none",
            "-o", "PreferredAuthentications=none", "-p", str(_port(host)), *_ssh_words(host), host.address, "true",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=6 * TIMEOUT, check=False)
        found = pinned(file).get(known_name(host))
    if found is None:
        hint = "try the jump host by hand: ssh with the inventory's ansible_ssh_common_args"
        raise Unreachable(f"not reached through the jump host: {done.stderr.strip()}", place=host.name, hint=hint)
    return found


def _port(host: Host) -> int:
    return int(host.variables.get("ansible_port") or 22)
