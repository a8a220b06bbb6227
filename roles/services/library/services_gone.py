#!/usr/bin/python
"""Removes the containers of services that the Compose file no longer names, and so Compose can't. Volumes stay."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: services_gone
short_description: Stop and remove the containers of services
options:
  project: {description: the Compose project, type: str, required: true}
  services: {description: the services, type: list, elements: str, required: true}
author: deployctl
"""
EXAMPLES = r"""
- services_gone:
    project: collector
    services: [beat]
"""
RETURN = r"""
removed: {description: names of the containers, returned: always, type: list}
"""


def main() -> None:
    spec = {
        "project": {"type": "str", "required": True},
        "services": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    names = [name for service in module.params["services"] for name in containers(module, service)]
    if names and not module.check_mode:
        docker(module, "stop", *names)
        docker(module, "rm", "--force", *names)
    module.exit_json(changed=bool(names), removed=names)


def containers(module, service):
    labels = ["project=" + module.params["project"], "service=" + service]
    filters = [word for label in labels for word in ("--filter", "label=com.docker.compose." + label)]
    return docker(module, "ps", "--all", "--format", "{{.Names}}", *filters).split()


def docker(module, *argv):
    return module.run_command(["docker", *argv], check_rc=True)[1]


if __name__ == "__main__":
    main()
