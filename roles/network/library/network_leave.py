#!/usr/bin/python
"""Takes a product's table away, and for the last product the rule, the unit and its loader, too."""

from __future__ import annotations

import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: network_leave
short_description: Remove a product's nftables table, and after the last product all that loads such tables
options:
  table: {description: the table's name in family inet, type: str, required: true}
  files: {description: our units and drop-ins, type: list, elements: path, default: []}
  last: {description: whether no other product of ours is here, type: bool, default: false}
author: deployctl
"""
EXAMPLES = r"""
- network_leave:
    table: deployctl_collector
    last: true
    files: [/etc/systemd/system/deployctl-network.service]
"""
RETURN = r"""
removed: {description: what is gone, returned: always, type: list}
"""

UNIT = "deployctl-network.service"
KEPT = "/run/deployctl/network"
OURS = re.compile(r"-A DOCKER-USER .*0x10000000/0x10000000 -j ACCEPT")


def main() -> None:
    spec = {
        "table": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "default": []},
        "last": {"type": "bool", "default": False},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    tables = module.run_command(["nft", "list", "tables", "inet"])[1].split()
    found = [["nft", "delete", "table", "inet", name] for name in tables if name == module.params["table"]]
    if module.params["last"]:
        found += shared(module)
    if not module.check_mode:
        for argv in found:
            module.run_command(argv, check_rc=True)
    module.exit_json(changed=bool(found), removed=[" ".join(argv) for argv in found])


def shared(module):
    """The commands that take away what products share."""
    units = [path for path in module.params["files"] if path.startswith("/etc/systemd/") and os.path.exists(path)]
    commands = [["systemctl", "disable", "--now", UNIT]] if any(path.endswith(UNIT) for path in units) else []
    for program in ("iptables", "ip6tables"):
        for rule in module.run_command([program, "-w", "-S", "DOCKER-USER"])[1].splitlines():
            if OURS.fullmatch(rule):
                commands.append([program, "-w", *rule.replace("-A ", "-D ", 1).split()])
    folders = {os.path.dirname(path) for path in units if os.path.dirname(path).endswith(".d")}
    commands += [["rm", *units]] if units else []
    commands += [["rm", "-r", KEPT]] if os.path.isdir(KEPT) else []
    commands += [["rmdir", "--ignore-fail-on-non-empty", *sorted(folders)]] if folders else []
    return [*commands, ["systemctl", "daemon-reload"]] if units else commands


if __name__ == "__main__":
    main()
