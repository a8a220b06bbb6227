#!/usr/bin/python
"""Loads our tables on a host so that they undo themselves, unless somebody confirms that the host is still reached."""

from __future__ import annotations

import glob
import os
import shlex
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: network_load
short_description: Load the tables of /etc/deployctl/network.d, with a timer armed that takes them back
description:
  - What our tables say now is kept in /run/deployctl/network. The timer puts it back, in the kernel and in network.d.
  - C(confirm) ends the timer. It says C(undone) where the timer was first.
  - Its action plugin confirms by a new SSH connection, so that a table that cuts off whoever manages the host does not stay.
options:
  state:
    description: What to do.
    choices: [loaded, confirmed]
    default: loaded
    type: str
  seconds:
    description: After how long the tables are taken back.
    type: int
    default: 30
author: deployctl
"""
EXAMPLES = r"""
- network_load:
    seconds: 30
"""
RETURN = r"""
undone: {description: whether the tables were taken back before they were confirmed, returned: when confirming, type: bool}
"""

UNIT = "deployctl-network.service"
UNDO = "deployctl-network-undo"
FILES = "/etc/deployctl/network.d"
KEPT = "/run/deployctl/network"
PREFIX = "deployctl_"
UNDO_SCRIPT = f"""#!/bin/sh
# Written by deployctl: nobody confirmed the new tables, so the former ones come back. What was refused is kept beside this.
mv {KEPT}/armed {KEPT}/undone || exit 0
mkdir -p {KEPT}/refused && mv {FILES}/*.nft {KEPT}/refused/ 2>/dev/null
for table in $(nft list tables inet | awk '$3 ~ /^{PREFIX}/ {{print $3}}'); do nft delete table inet "$table"; done
for file in {KEPT}/former/*.nft; do [ ! -e "$file" ] || {{ cp "$file" {FILES}/; nft -f "$file"; }}; done
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["loaded", "confirmed"], "default": "loaded"},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=module.params["state"] == "loaded", undone=False)
    try:
        if module.params["state"] == "confirmed":
            module.exit_json(changed=False, undone=not confirm())
        load(module.params["seconds"])
    except (OSError, subprocess.CalledProcessError) as problem:
        said = (getattr(problem, "stderr", "") or "").strip()
        module.fail_json(msg=f"the network table could not be loaded: {said or problem}")
    module.exit_json(changed=True)


def load(seconds: int) -> None:
    """Keep what is there, arm the timer, load."""
    confirm()
    run("rm", "-rf", KEPT)
    keep()
    run("systemd-run", "--quiet", f"--on-active={seconds}", f"--unit={UNDO}", "--timer-property=AccuracySec=100ms",
        "/bin/sh", f"{KEPT}/undo.sh")  # fmt: skip
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--quiet", UNIT)
    run("systemctl", "reload-or-restart", UNIT)


def keep() -> None:
    """The tables of now as files that replace what the kernel has by them, under the names that network.d has."""
    os.makedirs(f"{KEPT}/former", mode=0o700)
    known = {name_of(path): os.path.basename(path) for path in glob.glob(f"{FILES}/*.nft")}
    for table in [line.split()[2] for line in run("nft", "list", "tables", "inet").splitlines() if f" {PREFIX}" in line]:
        text = f"table inet {table}\ndelete table inet {table}\n" + run("nft", "-s", "list", "table", "inet", table)
        write(f"{KEPT}/former/{known.get(table, table.removeprefix(PREFIX) + '.nft')}", text)
    write(f"{KEPT}/undo.sh", UNDO_SCRIPT)
    write(f"{KEPT}/armed", "")


def name_of(path: str) -> str:
    """The table that a file of ours replaces, which is its first line."""
    with open(path, encoding="utf-8") as file:
        return (file.readline().split() or [""])[-1]


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def confirm() -> bool:
    """Whether the tables stay: one of us and the timer takes the file away, and that one wins."""
    try:
        os.rename(f"{KEPT}/armed", f"{KEPT}/confirmed")
    except FileNotFoundError:
        return False
    subprocess.run(["systemctl", "stop", f"{UNDO}.timer"], capture_output=True, check=False)
    return True


def run(*command: str) -> str:
    """A program's words; CalledProcessError where it fails."""
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(
            done.returncode, shlex.join(command), stderr=f"{shlex.join(command)}: {done.stderr}"
        )
    return done.stdout


if __name__ == "__main__":
    main()
