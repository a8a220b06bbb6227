#!/usr/bin/python
"""Takes what a product has in Docker away from a host: containers, networks, images that nobody else uses, named volumes."""

from __future__ import annotations

import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: services_leave
short_description: Remove a product's containers and networks, images of ours, and the volumes that are named
description:
  - A container that somebody else attached to one of the product's networks stops the removal of that network.
  - An image that a container or another name uses stays.
  - A volume that has no name goes with its container, since nobody could find it again.
options:
  project: {description: the Compose project, type: str, required: true}
  images: {description: tags that we loaded, type: list, elements: str, default: []}
  volumes: {description: volumes to delete with their data, type: list, elements: str, default: []}
author: deployctl
"""
EXAMPLES = r"""
- services_leave:
    project: collector
    images: ["collector/app:1.0.0-0123456789abcdef"]
"""
RETURN = r"""
removed: {description: what is gone, returned: always, type: list}
kept: {description: images that somebody else uses, returned: always, type: list}
"""

NAMELESS = re.compile("[0-9a-f]{64}")


def main() -> None:
    spec = {
        "project": {"type": "str", "required": True},
        "images": {"type": "list", "elements": "str", "default": []},
        "volumes": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    containers = listed(module, "ps", "--all", "--format", "{{.Names}}")
    networks = listed(module, "network", "ls", "--format", "{{.Name}}")
    images = [tag for tag in module.params["images"] if there(module, "image", tag)]
    volumes = [name for name in module.params["volumes"] if there(module, "volume", name)]
    kept = [] if module.check_mode else take_away(module, containers, networks, images, volumes)
    removed = [*containers, *networks, *images, *volumes]
    module.exit_json(changed=bool(removed), removed=[name for name in removed if name not in kept], kept=kept)


def take_away(module, containers, networks, images, volumes):
    if containers:
        without_name = nameless(module, containers)
        docker(module, "stop", *containers)
        docker(module, "rm", "--force", "--volumes", *containers)
        for volume in without_name:  # one that Compose carried over to a new container is a named one to the engine
            module.run_command(["docker", "volume", "rm", volume])
    if networks:
        docker(module, "network", "rm", *networks)
    if volumes:
        docker(module, "volume", "rm", *volumes)
    return [tag for tag in images if module.run_command(["docker", "image", "rm", tag])[0] != 0]


def nameless(module, containers):
    form = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
    return [name for name in docker(module, "inspect", "-f", form, *containers).split() if NAMELESS.fullmatch(name)]


def listed(module, *argv):
    label = "label=com.docker.compose.project=" + module.params["project"]
    return docker(module, *argv, "--filter", label).split()


def there(module, kind, name):
    return module.run_command(["docker", kind, "inspect", name])[0] == 0


def docker(module, *argv):
    return module.run_command(["docker", *argv], check_rc=True)[1]


if __name__ == "__main__":
    main()
