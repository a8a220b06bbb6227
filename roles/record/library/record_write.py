#!/usr/bin/python
"""Writes a record: whole or not at all, on the disk before it counts, the one before it kept."""

from __future__ import annotations

import json
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: record_write
short_description: Write a host's record, keeping the previous one
options:
  path: {description: the file, type: path, required: true}
  content: {description: the record, type: dict, required: true}
author: deployctl
"""
EXAMPLES = r"""
- record_write:
    path: /var/lib/deployctl/collector/record.json
    content: {version: 1.0.0}
"""
RETURN = r""" # """


def main() -> None:
    spec = {"path": {"type": "path", "required": True}, "content": {"type": "dict", "required": True}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    path, text = module.params["path"], json.dumps(module.params["content"], indent=1, sort_keys=True) + "\n"
    before = read(path)
    if before != text and not module.check_mode:
        try:
            write(path, text, before)
        except OSError as problem:
            module.fail_json(msg=f"{path}: {problem.strerror}")
    module.exit_json(
        changed=before != text, diff={"before_header": path, "after_header": path, "before": before, "after": text}
    )


def write(path, text, before):
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if before:
        replace(path[: -len(".json")] + ".previous.json", before)
    replace(path, text)


def replace(path, text):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
