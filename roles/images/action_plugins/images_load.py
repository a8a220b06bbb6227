"""Streams what a host lacks of its images into `docker load`, over an ssh of its own on the connection's master.

Ansible's own transports would copy a file first; the tar is made while it is sent, out of the bundle, and lies nowhere.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from deploybundle.errors import DeployctlError
from deploybundle.open import Around, Bundle, Image, open_bundle
from deploybundle.trust import load_trust
from deployctl.hosts.events import emit
from deployctl.hosts.sending import around_of
from deployctl.hosts.ssh import ssh_command
from deployctl.hosts.wire import loaded_ids, wire
from deployctl.site import Host

# `docker load` on a containerd store may print an error and still say success: the image itself is asked for afterwards.
LOAD = '[ "$(id -u)" = 0 ] || exec sudo -n sh -c "$0" sh "$1"; docker load -q >&2 && docker image inspect -f "{{.Id}}" "$1"'
LOOK = '[ "$(id -u)" = 0 ] || exec sudo -n sh -c "$0" sh "$@"; docker image inspect -f "{{.Id}}" "$@" 2>/dev/null; true'
STEP = 4 << 20
SSH_FAILED = 255
Way = tuple[Host, Path]


class ActionModule(ActionBase):
    """images_load: a list of images of one bundle onto one host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        try:
            around = around_of(task_vars or {})
            bundle = the_bundle(Path(self._task.args["bundle"]), str(self._task.args.get("index") or ""), around)
            way = self._way(task_vars or {})
            images = self._lacking(bundle, way)
            sent = [] if self._task.check_mode else [self._load(bundle, item, way) for item in images]
        except (DeployctlError, OSError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        return {**result, "changed": bool(images), "images": [str(item["tag"]) for item in images], "bytes": sum(sent)}

    def _lacking(self, bundle: Bundle, way: Way) -> list[dict[str, Any]]:
        """Those of the images that the host does not have under their tags: the plan may be older than the host's state."""
        images = self._task.args["images"]
        command = ssh_command(*way, "sh", "-c", LOOK, LOOK, *(str(item["tag"]) for item in images))
        there = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout.split()
        return [item for item in images if not loaded_ids(planned(bundle, item)) & set(there)]

    def _load(self, bundle: Bundle, item: dict[str, Any], way: Way) -> int:
        command = ssh_command(*way, "sh", "-c", LOAD, LOAD, str(item["tag"]))
        return load(bundle, item, str(self._task.args["encoding"]), way[0].name, command)

    def _way(self, variables: dict[str, Any]) -> Way:
        """The host as the connection plugin sees it: its options are templated and have their sources sorted out."""
        name, address = variables["inventory_hostname"], str(variables.get("ansible_host", variables["inventory_hostname"]))
        known = variables.get("deployctl_known_hosts") or Path(variables["inventory_dir"]) / "known_hosts"
        if self._connection.transport == "local":
            return Host(name, address, "", {"ansible_connection": "local"}), Path(known)
        asked = {
            "ansible_user": "remote_user", "ansible_port": "port", "ansible_ssh_private_key_file": "private_key_file",
            "ansible_ssh_common_args": "ssh_common_args",
        }  # fmt: skip
        options = {variable: self._connection.get_option(option) for variable, option in asked.items()}
        return Host(name, address, "", options), Path(known)


def the_bundle(path: Path, index: str, around: Around | None = None) -> Bundle:
    """The bundle whose index the plan was made from, after its signatures were checked; without a plan, a trusted one."""
    if not index:
        return open_bundle(path, load_trust().keys, around=around)
    bundle = open_bundle(path, None, around=around)
    if bundle.index_digest != index:
        words = f"{path}: the plan was made from index {index}, this bundle has {bundle.index_digest}"
        raise AnsibleActionFail(words, result={"deployctl": {"error": "bundle-replaced"}})
    return bundle


def planned(bundle: Bundle, item: dict[str, Any]) -> Image:
    """The image of the bundle that the plan means."""
    image = bundle.images[item["ref"]]
    if image.config_digest != item["config"]:
        raise AnsibleActionFail(f"{item['ref']}: the plan means {item['config']}, the bundle has {image.config_digest}")
    return image


def load(bundle: Bundle, item: dict[str, Any], encoding: str, host: str, command: list[str]) -> int:
    """One image. Returns the bytes sent; raises AnsibleActionFail when the host does not have it afterwards."""
    image = planned(bundle, item)
    size, stream = wire(image, item["missing"], encoding, bundle.open, tag=str(item["tag"]))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        send(process, stream, size, {"event": "bytes", "host": host, "image": str(item["ref"])})
        out, said = process.communicate()
    finally:
        process.kill()
    found = out.decode().strip()
    if process.returncode == SSH_FAILED:
        words = said.decode("utf-8", "replace").strip() or "no answer any more"
        words = f"{item['tag']}: the connection broke off: {words}; is the machine on?"
        raise AnsibleActionFail(words, result={"deployctl": {"error": "host-lost"}})
    if process.returncode != 0 or found not in loaded_ids(image):
        words = said.decode("utf-8", "replace").strip() or f"exit {process.returncode}"
        raise AnsibleActionFail(f"{item['tag']}: expected {image.config_digest}, got {found or 'no image'}: {words}")
    return size


def send(process: subprocess.Popen[bytes], stream: Iterator[bytes], size: int, event: dict[str, Any]) -> None:
    """Into the process, with progress. A broken pipe is not told here: the process says why it ended."""
    sent = told = 0
    assert process.stdin is not None  # noqa: S101 - asked for just above
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
