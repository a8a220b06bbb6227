"""Sends the archive on the connection's stdin into a file that only root can read, and applies it there.

Not put_file: that writes as the login user, so secrets would lie in his folder for a moment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

RECEIVE = "sh -c 'umask 077; f=$(mktemp /run/deployctl-files-XXXXXX) && cat > $f && echo $f'"


class ActionModule(ActionBase):
    """files_archive, seen from the machine that runs Ansible."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        place = self._send(Path(self._task.args["archive"]))
        arguments = {**self._task.args, "archive": place}
        return dict(self._execute_module("files_archive", module_args=arguments, task_vars=task_vars))

    def _send(self, archive: Path) -> str:
        try:
            data = archive.read_bytes()
        except OSError as problem:
            raise AnsibleActionFail(f"the archive cannot be read: {problem}") from problem
        done = self._low_level_execute_command(RECEIVE, in_data=data, sudoable=True)
        place = str(done["stdout"]).strip()
        if done["rc"] != 0 or not place:
            raise AnsibleActionFail(f"the archive did not arrive: {str(done['stderr']).strip() or done['stdout']}")
        return place
