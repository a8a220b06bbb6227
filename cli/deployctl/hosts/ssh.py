"""OpenSSH as the way to a host: the argv, one master connection each, and the agent's verbs over it.

Host keys are always checked, against the client's own known_hosts. Where ssh fails, `keys.diagnose` says why.
"""

from __future__ import annotations

import concurrent.futures
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployctl.hosts.errors import NoAnswer, NoPython, SudoRefused, agent_error, collect
from deployctl.hosts.keys import diagnose
from deployctl.hosts.session import REMOTE, SESSIONS, Silent
from deployctl.site import Host, Site

ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3")
"""A host that says nothing for 45 s is taken for lost. playbooks/ansible.cfg says the same to plain Ansible."""


def control_folder() -> Path:
    """A private folder with a short path: a socket's path may have 108 bytes, and ssh adds 17 while it opens one."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"deployctl-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} must be a folder of one's own with mode 0700")
    return folder


def options(known_hosts: Path) -> list[str]:
    """The options of every ssh of ours, Ansible's too: then they share one connection to a host."""
    return [
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *ALIVE, "-o", "StrictHostKeyChecking=yes",
        "-o", "GlobalKnownHostsFile=none", "-o", f'UserKnownHostsFile="{known_hosts}"',
        "-o", f"ControlPath={control_folder()}/%C", "-o", "ControlMaster=auto", "-o", "ControlPersist=60",
    ]  # fmt: skip


def ssh_command(host: Host, known_hosts: Path, *argv: str) -> list[str]:
    """The argv that runs `argv` on the host; without ssh where the host is this machine."""
    if host.local:
        return list(argv)
    return ["ssh", "-T", *options(known_hosts), *_from_inventory(host.variables), host.address, "--", shlex.join(argv)]


def disconnect(site: Site) -> None:
    """End what leads to the site's hosts: before a machine is replaced, or a dead one is waited for by the living."""
    for host in site.hosts.values():
        SESSIONS.end(_agent(host, site.known_hosts))
        if not host.local:
            command = ["ssh", *options(site.known_hosts), *_from_inventory(host.variables), "-O", "exit", host.address]
            subprocess.run(command, capture_output=True, check=False)


def _from_inventory(variables: Mapping[str, Any]) -> list[str]:
    """What the inventory says about the way in, in Ansible's own words."""
    found: list[str] = []
    if variables.get("ansible_port"):
        found += ["-p", str(variables["ansible_port"])]
    if variables.get("ansible_user"):
        found += ["-l", str(variables["ansible_user"])]
    if variables.get("ansible_ssh_private_key_file"):
        found += ["-i", str(Path(variables["ansible_ssh_private_key_file"]).expanduser()), "-o", "IdentitiesOnly=yes"]
    for name in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        found += shlex.split(str(variables.get(name) or ""))
    return found


def call(site: Site, hosts: Sequence[Host], verb: str, request: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Ask the same of all hosts at the same time; host name -> answer.

    Raises HostsFailed with every host's problem, or that problem itself when there is one.
    """
    return call_each(site, {host.name: request for host in hosts}, verb)


def call_each(site: Site, requests: Mapping[str, Mapping[str, Any]], verb: str) -> dict[str, dict[str, Any]]:
    """Ask something else of each host: host name -> request."""
    with concurrent.futures.ThreadPoolExecutor(max(1, min(32, len(requests)))) as pool:
        jobs = {name: pool.submit(ask, site.hosts[name], site.known_hosts, verb, request) for name, request in requests.items()}
    return collect(jobs)


def ask(
    host: Host, known_hosts: Path, verb: str, request: Mapping[str, Any], limit: float = 120, *, again: bool = False
) -> dict[str, Any]:
    """One verb on one host, one round trip. Raises a SiteError or LockedError that says what is wrong.

    `again`: the verb may be done twice; a connection that breaks meanwhile, as Ctrl-C breaks ssh's, is made anew.
    """
    try:
        answer = SESSIONS.ask(_agent(host, known_hosts), {**request, "verb": verb}, limit, again=again)
    except Silent as silent:
        if silent.late:
            raise NoAnswer(f"no answer to {verb} within {limit:g} s", place=host.name) from None
        raise _silence(host, known_hosts, silent.code, silent.last, silent.said) from None
    if answer.pop("ok"):
        return answer
    raise agent_error(host.name, answer)


def _agent(host: Host, known_hosts: Path) -> list[str]:
    return ssh_command(host, known_hosts, "sh", "-c", REMOTE)


def _silence(host: Host, known_hosts: Path, code: int, last: str, said: str) -> Exception:
    """Why there was no answer. ssh itself ends with 255; else the remote shell left a word."""
    if last == "deployctl:no-python3":
        return NoPython("no python3 on the host", place=host.name, hint="apt-get install python3 there")
    if "No module named" in said:
        lacks = f"python3 is not whole there: {said.splitlines()[-1]}"
        return NoPython(lacks, place=host.name, hint="apt-get install python3 there; python3-minimal is not enough")
    if last == "deployctl:no-sudo":
        return SudoRefused("sudo is not installed and the user is not root", place=host.name, hint="install sudo there")
    if last == "deployctl:sudo-refused" and "Traceback" not in said:
        user = host.variables.get("ansible_user") or "this user"
        hint = f"give {user} NOPASSWD in a file of /etc/sudoers.d there; look with `sudo -n -l`"
        return SudoRefused(f"sudo refused {user}: {said or 'no reason given'}", place=host.name, hint=hint)
    if code == 255 and not host.local:
        return diagnose(host, known_hosts, said)
    return NoAnswer(f"the host answered nothing (exit {code}): {said or last or 'no words'}", place=host.name)
