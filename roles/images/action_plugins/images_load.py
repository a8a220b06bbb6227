"""Streams what a host lacks of its images into `docker load`, over an ssh of its own on the connection's master.

Ansible's own transports would copy a file first; the tar is made while it is sent, out of the bundle, and lies nowhere.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from deploybundle.errors import DeployctlError
from deploybundle.open import Bundle, Image
from deployctl.hosts.loading import Ready, held_back, load_all
from deployctl.hosts.sending import SSH_FAILED, NotSent, around_of, bundle_of_plan, send, way_to
from deployctl.hosts.ssh import ssh_command
from deployctl.hosts.wire import loaded_ids, wire
from deployctl.site import Host

# `docker load` on a containerd store may print an error and still say success: the image itself is asked for afterwards.
# An engine whose disk is full may end without a word, so a failure tells how much is free in its folder.
LOAD = """[ "$(id -u)" = 0 ] || exec sudo -n sh -c "$0" sh "$1"
docker load -q >&2 && docker image inspect -f "{{.Id}}" "$1" && exit
code=$? root=$(docker info -f "{{.DockerRootDir}}") && df -Ph "$root" | awk 'END {print "free in '"$root"': " $4 " of " $2}' >&2
exit $code"""
LOOK = '[ "$(id -u)" = 0 ] || exec sudo -n sh -c "$0" sh "$@"; docker image inspect -f "{{.Id}}" "$@" 2>/dev/null; true'
Way = tuple[Host, Path]


class ActionModule(ActionBase):
    """images_load: a list of images of one bundle onto one host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        try:
            variables, bundle = task_vars or {}, self._bundle(task_vars or {})
            way = way_to(self._connection, variables)
            images = self._lacking(bundle, way)
            sent = [] if self._task.check_mode else self._load_all(bundle, images, way)
        except NotSent as problem:
            raise AnsibleActionFail(str(problem), result={"deployctl": {"error": problem.code}}) from problem
        except (DeployctlError, OSError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        return {**result, "changed": bool(images), "images": [str(item["tag"]) for item in images], "bytes": sum(sent)}

    def _bundle(self, variables: dict[str, Any]) -> Bundle:
        wanted = self._task.args
        return bundle_of_plan(Path(wanted["bundle"]), str(wanted.get("index") or ""), around_of(variables))

    def _lacking(self, bundle: Bundle, way: Way) -> list[dict[str, Any]]:
        """Those of the images that the host does not have under their tags: the plan may be older than the host's state."""
        images = self._task.args["images"]
        command = ssh_command(*way, "sh", "-c", LOOK, LOOK, *(str(item["tag"]) for item in images))
        there = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout.split()
        return [item for item in images if not loaded_ids(planned(bundle, item)) & set(there)]

    def _load_all(self, bundle: Bundle, images: list[dict[str, Any]], way: Way) -> list[int]:
        sending = [(planned(bundle, item), item["missing"]) for item in images]
        return load_all(sending, lambda number, ready: self._load(bundle, images[number], way, ready))

    def _load(self, bundle: Bundle, item: dict[str, Any], way: Way, ready: Ready) -> int:
        command = ssh_command(*way, "sh", "-c", LOAD, LOAD, str(item["tag"]))
        return load(bundle, item, str(self._task.args["encoding"]), way[0].name, command, ready)


def planned(bundle: Bundle, item: dict[str, Any]) -> Image:
    """The image of the bundle that the plan means."""
    image = bundle.images[item["ref"]]
    if image.config_digest != item["config"]:
        raise NotSent(f"{item['ref']}: the plan means {item['config']}, the bundle has {image.config_digest}")
    return image


def load(
    bundle: Bundle, item: dict[str, Any], encoding: str, host: str, command: list[str], ready: Ready = lambda: None
) -> int:
    """One image; its end is sent when it is `ready`. Returns the bytes sent; NotSent if the host lacks it then."""
    image = planned(bundle, item)
    size, stream = wire(image, item["missing"], encoding, bundle.open, tag=str(item["tag"]))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        send(process, held_back(stream, ready), size, {"event": "bytes", "host": host, "image": str(item["ref"])})
        out, said = process.communicate()
    finally:
        process.kill()
    found = out.decode().strip()
    if process.returncode == SSH_FAILED:
        words = said.decode("utf-8", "replace").strip() or "no answer any more"
        words = f"{item['tag']}: the connection broke off: {words}; is the machine on?"
        raise NotSent(words, "host-lost")
    if process.returncode != 0 or found not in loaded_ids(image):
        words = said.decode("utf-8", "replace").strip() or f"exit {process.returncode}"
        raise NotSent(f"{item['tag']}: expected {image.config_digest}, got {found or 'no image'}: {words}")
    return size
