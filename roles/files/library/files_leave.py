#!/usr/bin/python
"""Takes files of ours away, and the folders of ours that become empty."""

from __future__ import annotations

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: files_leave
short_description: Remove files, and folders of ours that become empty
options:
  files: {description: what to remove, type: list, elements: path, required: true}
author: deployctl
"""
EXAMPLES = r"""
- files_leave:
    files: [/etc/deployctl/collector/compose.yaml]
"""
RETURN = r"""
removed: {description: paths that are gone, returned: always, type: list}
"""

OURS = ("/etc/deployctl", "/var/lib/deployctl", "/run/deployctl")


def main() -> None:
    spec = {"files": {"type": "list", "elements": "path", "required": True}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    gone = [path for path in module.params["files"] if os.path.lexists(path)]
    if not module.check_mode:
        try:
            for path in sorted(module.params["files"], reverse=True):
                take_away(path)
        except OSError as problem:
            module.fail_json(msg=f"{problem.filename}: {problem.strerror}")
        empty("/run/deployctl")
    module.exit_json(changed=bool(gone), removed=gone)


def take_away(path):
    """A folder goes only when nothing of somebody else lies in it."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        empty(path)
    above = os.path.dirname(path)
    while above in OURS or above.startswith(tuple(folder + "/" for folder in OURS)):
        if not empty(above):
            return
        above = os.path.dirname(above)


def empty(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return not os.path.lexists(path)


if __name__ == "__main__":
    main()
