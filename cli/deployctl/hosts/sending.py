"""What action plugins share that stream out of a bundle: the way to the host, the bundle of the plan, the sending itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploybundle.open import Around, Bundle, open_bundle
from deploybundle.store import Store
from deploybundle.trust import load_trust
from deployctl.hosts.events import emit
from deployctl.site import Host

STEP = 4 << 20
SSH_FAILED = 255


class NotSent(Exception):
    """Why nothing, or not all, was sent. `code` is the error that the run will be told as, or empty."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def way_to(connection: Any, variables: Mapping[str, Any]) -> tuple[Host, Path]:
    """The host and its known_hosts as the connection plugin sees them: its options are templated, their sources sorted out."""
    name, address = variables["inventory_hostname"], str(variables.get("ansible_host", variables["inventory_hostname"]))
    known = variables.get("deployctl_known_hosts") or Path(variables["inventory_dir"]) / "known_hosts"
    if connection.transport == "local":
        return Host(name, address, "", {"ansible_connection": "local"}), Path(known)
    asked = {
        "ansible_user": "remote_user", "ansible_port": "port", "ansible_ssh_private_key_file": "private_key_file",
        "ansible_ssh_common_args": "ssh_common_args",
    }  # fmt: skip
    return Host(name, address, "", {variable: connection.get_option(option) for variable, option in asked.items()}), Path(known)


def around_of(variables: Mapping[str, Any]) -> Around:
    """What a delta counts on: the bundles that this client's store holds, and the layers that it rebuilt."""
    return Store(Path(variables.get("deployctl_state") or Path(variables["inventory_dir"]) / ".site")).around()


def bundle_of_plan(path: Path, index: str, around: Around | None = None) -> Bundle:
    """The bundle whose index the plan was made from, after its signatures were checked; without a plan, a trusted one."""
    if not index:
        return open_bundle(path, load_trust().keys, around=around)
    bundle = open_bundle(path, None, around=around)
    if bundle.index_digest != index:
        words = f"{path}: the plan was made from index {index}, this bundle has {bundle.index_digest}"
        raise NotSent(words, "bundle-replaced")
    return bundle


def send(process: subprocess.Popen[bytes], stream: Iterator[bytes], size: int, event: dict[str, Any]) -> None:
    """Into the process, with progress. A broken pipe is not told here: the process says why it ended."""
    sent = told = 0
    assert process.stdin is not None  # noqa: S101 - asked for by whoever started it
    try:
        for chunk in stream:
            process.stdin.write(chunk)
            sent += len(chunk)
            if sent - told >= STEP:
                told = sent
                emit({**event, "sent": sent, "size": size})
        process.stdin.flush()
    except BrokenPipeError:
        return
    emit({**event, "sent": sent, "size": size})
