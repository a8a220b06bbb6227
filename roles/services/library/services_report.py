#!/usr/bin/python
"""Says which services of a project are not healthy, each with its last log lines. Changes nothing."""

from __future__ import annotations

import json
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: services_report
short_description: Services that are not healthy, and their last log lines
options:
  project: {description: the Compose project, type: str, required: true}
  lines: {description: how many log lines of each, type: int, default: 20}
author: deployctl
"""
EXAMPLES = r"""
- services_report:
    project: collector
"""
RETURN = r"""
first: {description: whether the host has no record yet, returned: always, type: bool}
message: {description: the report for people, returned: always, type: str}
deployctl: {description: the report as data, returned: always, type: dict}
"""


def main() -> None:
    spec = {"project": {"type": "str", "required": True}, "lines": {"type": "int", "default": 20}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    found = [about(module, state) for state in inspect(module) if not well(state)]
    record = "/var/lib/deployctl/{}/record.json".format(module.params["project"])
    module.exit_json(
        changed=False,
        first=not os.path.exists(record),
        message="\n".join(words(item) for item in found),
        deployctl={"unhealthy": found},
    )


def inspect(module):
    label = "label=com.docker.compose.project=" + module.params["project"]
    names = docker(module, "ps", "--all", "--quiet", "--filter", label)[0].split()
    return json.loads(docker(module, "inspect", *names)[0]) if names else []


def well(container):
    """A one-shot that did its work is well, too."""
    state = container["State"]
    if state["Status"] == "exited" and state["ExitCode"] == 0:
        return True
    return state["Status"] == "running" and state.get("Health", {}).get("Status", "healthy") == "healthy"


def about(module, container):
    state = container["State"]
    out, err = docker(module, "logs", "--tail", str(module.params["lines"]), container["Id"])
    checks = state.get("Health", {}).get("Log") or [{"Output": ""}]
    return {
        "service": container["Config"]["Labels"].get("com.docker.compose.service", container["Name"]),
        "state": state["Status"],
        "health": state.get("Health", {}).get("Status", ""),
        "exit_code": state["ExitCode"],
        "check": checks[-1]["Output"].strip(),
        "logs": (out + err).splitlines()[-module.params["lines"] :],
    }


def words(item):
    head = "{} is {}".format(item["service"], " and ".join(filter(None, [item["state"], item["health"]])))
    if item["state"] == "exited":
        head += f" with code {item['exit_code']}"
    if item["check"]:
        head += "; its health check said: " + item["check"]
    return "\n  ".join([head, *item["logs"]])


def docker(module, *argv):
    return module.run_command(["docker", *argv], check_rc=True)[1:]


if __name__ == "__main__":
    main()
