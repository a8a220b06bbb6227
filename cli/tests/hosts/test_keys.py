"""Host keys, with a real SSH server on loopback: paramiko's own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from deployctl.hosts import (
    ConnectionRefused,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    ask,
    diagnose,
    known_name,
    pin,
    pinned,
    scan,
)  # fmt: skip
from deployctl.hosts.keys import jumps
from deployctl.site import Host


@contextlib.contextmanager
def server(key: paramiko.PKey) -> Iterator[int]:
    """An sshd that shows `key` and lets nobody in."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                transport = paramiko.Transport(listener.accept()[0])
                transport.add_server_key(key)
                threads.append(transport)
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in threads:
            transport.close()


def host(port: int, **variables: object) -> Host:
    return Host("db1", "127.0.0.1", "data", {"ansible_port": port, "ansible_user": "ops", **variables})


@pytest.fixture(scope="module")
def key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


def test_a_scanned_key_has_the_name_and_the_fingerprint_that_openssh_shows(key: paramiko.PKey) -> None:
    with server(key) as port:
        found = scan(host(port))
    assert found.name == f"[127.0.0.1]:{port}"
    assert found.fingerprint == key.fingerprint
    assert found.line == f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}"


def test_at_port_22_the_name_is_plain() -> None:
    assert known_name(Host("db1", "10.0.0.1", "data", {})) == "10.0.0.1"


def test_a_pinned_key_is_found_again_and_another_one_is_refused_with_both_fingerprints(
    key: paramiko.PKey, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    with server(key) as port:
        pin(known_hosts, [scan(host(port))])
        before = pinned(known_hosts)
        assert before[known_name(host(port))].blob == key.asbytes()
    other = type(before[known_name(host(port))])(known_name(host(port)), "ssh-ed25519", b"other")
    with pytest.raises(HostKeyChanged) as caught:
        pin(known_hosts, [other])
    assert key.fingerprint in str(caught.value)
    assert other.fingerprint in str(caught.value)
    pin(known_hosts, [other], replace=True)
    assert pinned(known_hosts)[other.name] == other
    assert [path.name for path in tmp_path.iterdir()] == ["known_hosts"]


def test_why_a_login_failed_is_told_by_its_type(key: paramiko.PKey, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    with server(key) as port:
        at = host(port)
        assert isinstance(diagnose(at, known_hosts, ""), HostKeyUnknown)
        pin(known_hosts, [scan(at)])
        assert isinstance(diagnose(at, known_hosts, "Permission denied (publickey)."), LoginRefused)
    with server(paramiko.ECDSAKey.generate()) as other:
        known_hosts.write_text(known_hosts.read_text().replace(str(port), str(other)))
        assert isinstance(diagnose(host(other), known_hosts, ""), HostKeyChanged)
        with pytest.raises(HostKeyChanged):
            ask(host(other), known_hosts, "facts", {"project": "p"})
    assert isinstance(diagnose(at, known_hosts, ""), ConnectionRefused)


@pytest.mark.parametrize("words", ["-J ops@bastion", "-o ProxyJump=bastion", '-o ProxyCommand="ssh -W %h:%p bastion"'])
def test_a_jump_host_is_seen_in_the_inventory(words: str) -> None:
    assert jumps(host(22, ansible_ssh_common_args=words))
    assert not jumps(host(22, ansible_ssh_common_args="-o Ciphers=aes256-gcm@openssh.com"))
