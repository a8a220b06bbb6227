"""Loads the tables, then comes to the host by a new SSH connection to confirm them. Whoever cannot come has them undone."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

PAUSE = 2.0
PATIENCE = 60.0
"""Seconds beyond the timer's, after which a host that does not answer again is given up."""


class ActionModule(ActionBase):
    """network_load, seen from the machine that runs Ansible."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {"state": "loaded", "seconds": int(self._task.args.get("seconds", 30))}
        try:
            loaded = dict(self._module(arguments, task_vars))
        except AnsibleConnectionFailure as problem:  # the table cut off the connection that loaded it
            loaded = {"changed": True, "cut": str(problem)}
        if loaded.get("failed") or self._task.check_mode:
            return loaded
        undone, why = self._confirm(arguments["seconds"], task_vars)
        if not undone:
            return loaded
        words = "let no new SSH connection in from here, so the host took it back by itself and has the former one"
        return {"failed": True, "changed": True, "msg": f"the new network table {words}{why}"}

    def _confirm(self, seconds: int, task_vars: dict[str, Any] | None) -> tuple[bool, str]:
        """Whether the host took the tables back, and what ssh said. Waits for the host until it answers again."""
        last, why = time.monotonic() + seconds + PATIENCE, ""
        while True:
            try:
                self._connection.reset()
                found = dict(self._module({"state": "confirmed"}, task_vars))
                if not found.get("failed"):
                    return bool(found.get("undone")), why
                why = f": {found.get('msg') or found.get('module_stderr')}"
            except (AnsibleConnectionFailure, AnsibleError) as problem:
                why = f": {problem}"
            if time.monotonic() > last:
                raise AnsibleConnectionFailure(f"the host does not answer since its network table was loaded{why}")
            time.sleep(PAUSE)

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return dict(self._execute_module("network_load", module_args=arguments, task_vars=task_vars))
