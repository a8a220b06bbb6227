#!/usr/bin/python
"""Installs packages out of a folder that is an apt repository, with nothing else in apt's sight; or says what is lacking.

Nothing of the machine's apt configuration is changed, its sources are not asked, and nothing that is installed is removed.
What was installed is noted before it happens, so that it can be taken away again, also after a run that was cut off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: packages_install
short_description: Install packages out of a signed folder alone
options:
  names: {description: packages, type: list, elements: str, required: true}
  folder: {description: the repository; without it only what is lacking is told, type: path}
  note: {description: the file that says what was installed, type: path, default: /var/lib/deployctl/packages.json}
author: deployctl
"""
EXAMPLES = r"""
- packages_install:
    names: [docker.io, docker-cli]
    folder: /var/cache/deployctl-packages
"""
RETURN = r"""
lacking: {description: the names that are not installed, type: list, returned: always}
installed: {description: packages that were installed, with versions, type: dict, returned: when a folder is given}
upgraded: {description: packages of which a newer version was needed, type: dict, returned: when a folder is given}
"""
ENGINE = "docker.io"
INST = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\((\S+) ", re.MULTILINE)
REMV = re.compile(r"^Remv (\S+)", re.MULTILINE)


class Failed(Exception):
    """What apt or dpkg said."""


def main() -> None:
    spec = {
        "names": {"type": "list", "elements": "str", "required": True},
        "folder": {"type": "path"},
        "note": {"type": "path", "default": "/var/lib/deployctl/packages.json"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    names, folder = module.params["names"], module.params["folder"]
    try:
        there = packages()
        lacking = [name for name in names if name not in there]
        if not lacking or module.check_mode or not folder:
            module.exit_json(changed=bool(lacking and folder), lacking=lacking, installed={}, upgraded={})
        installed, upgraded = install(folder, lacking, module.params["note"])
    except (Failed, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True, lacking=lacking, installed=installed, upgraded=upgraded)


def install(folder, names, note):
    finish_what_was_cut_off(note)
    apt = prepare(folder)
    run(*apt, "update", "-qq")
    install = (*apt, "install", "-y", "-qq", "--no-install-recommends", "--no-remove", *names)
    said = run(*install, "--simulate")
    if REMV.search(said):
        raise Failed("would remove " + ", ".join(REMV.findall(said)) + ": nothing of the machine's is removed")
    steps = INST.findall(said)
    new = {name: version for name, old, version in steps if not old}
    newer = {name: [old, version] for name, old, version in steps if old}
    write(note, merged(read(note), new, newer, pending=True))
    keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
    run(*install, *keep)
    if ENGINE in new:
        start()
    write(note, dict(read(note), pending=False))
    return new, newer


def prepare(folder):
    """apt with this folder as its only source. Its own lists and caches lie there too, and go with it."""
    os.makedirs(os.path.join(folder, "lists", "partial"), exist_ok=True)
    os.makedirs(os.path.join(folder, "cache", "archives", "partial"), exist_ok=True)
    with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as file:
        file.write(f"deb [signed-by={folder}/key.asc] file:{folder} ./\n")
    options = {
        "Dir::Etc::sourcelist": folder + "/sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "Dir::State::lists": folder + "/lists",
        "Dir::Cache": folder + "/cache",
        "APT::Default-Release": "",
        "APT::Sandbox::User": "root",
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Check-Date": "false",
        "Acquire::Languages": "none",
        "DPkg::Lock::Timeout": "120",
    }
    return ["apt-get", *(word for key, value in options.items() for word in ("-o", key + "=" + value))]


def finish_what_was_cut_off(note):
    """Only after a run of ours that did not come to its end: what else dpkg has not finished is the administrator's."""
    if read(note).get("pending"):
        run("dpkg", "--configure", "-a", "--force-confdef", "--force-confold")


def start():
    """Debian starts the engine when it is installed, unless the machine's policy forbids it."""
    if os.path.isdir("/run/systemd/system"):
        run("systemctl", "enable", "--now", "--quiet", "docker.service")


def packages():
    said = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n")
    rows = [line.split("\t") for line in said.splitlines()]
    return {name: version for status, name, version in rows if status.startswith("ii")}


def merged(before, new, newer, pending):
    """The note: what was ours before stays ours."""
    return {
        "schema": 1,
        "pending": pending,
        "installed": {**before.get("installed", {}), **new},
        "upgraded": {**newer, **before.get("upgraded", {})},
    }


def run(*command):
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "APT_LISTCHANGES_FRONTEND": "none"}
    env = dict(os.environ, LC_ALL="C.UTF-8", **quiet)
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        words = " ".join(told or (done.stderr + done.stdout).splitlines()[-5:]).strip()
        raise Failed(f"{command[0]}: {words or f'exit {done.returncode}'}")
    return done.stdout


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def write(path, content):
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


if __name__ == "__main__":
    main()
