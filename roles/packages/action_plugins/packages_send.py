"""Streams the packages that a host lacks out of the bundle into a folder there, as one tar over an ssh of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from deploybundle.errors import DeployctlError
from deploybundle.open import Descriptor
from deployctl.hosts.pool import pool, pool_size
from deployctl.hosts.sending import SSH_FAILED, NotSent, around_of, bundle_of_plan, send, way_to
from deployctl.hosts.ssh import ssh_command

# Anew each time: a run that was killed may have left half of it. apt's own user must be able to read it.
RECEIVE = """[ "$(id -u)" = 0 ] || exec sudo -n sh -c "$0" sh "$1"
umask 022
rm -rf "$1" && mkdir -p "$1" && tar -xf - --no-same-owner -C "$1" || { rm -rf "$1"; exit 1; }"""


class ActionModule(ActionBase):
    """packages_send: files of one of the bundle's repositories into a folder of a host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        result.update(changed=True, bytes=0)
        if self._task.check_mode:
            return dict(result)
        try:
            result["bytes"] = self._send(task_vars or {})
        except NotSent as problem:
            raise AnsibleActionFail(str(problem), result={"deployctl": {"error": problem.code}}) from problem
        except (DeployctlError, OSError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        return dict(result)

    def _send(self, variables: dict[str, Any]) -> int:
        wanted = self._task.args
        bundle = bundle_of_plan(Path(wanted["bundle"]), str(wanted.get("index") or ""), around_of(variables))
        files = self._files(bundle.kinds.get(f"packages-{wanted['target']}", {}), wanted["files"])
        host, known_hosts = way_to(self._connection, variables)
        command = ssh_command(host, known_hosts, "sh", "-c", RECEIVE, RECEIVE, str(wanted["folder"]))
        size = pool_size([descriptor.size for _, descriptor in files])
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            send(process, pool(bundle, files), size, {"event": "bytes", "host": host.name, "image": "packages"})
            said = process.communicate()[1].decode("utf-8", "replace").strip()
        finally:
            process.kill()
        if process.returncode == SSH_FAILED:
            raise NotSent(f"the connection broke off: {said or 'no answer any more'}; is the machine on?", "host-lost")
        if process.returncode:
            raise NotSent(f"the host did not take the packages: {said or f'exit {process.returncode}'}")
        return size

    def _files(self, there: dict[str, Descriptor], wanted: list[str]) -> list[tuple[str, Descriptor]]:
        """The files asked for; all of the repository without any."""
        names = [str(name) for name in wanted] or list(there)
        missing = [name for name in names if name not in there]
        if missing or not names:
            lacks = ", ".join(missing) or "any package"
            raise NotSent(f"the bundle lacks {lacks} for {self._task.args['target']}")
        return [(name, there[name]) for name in names]
