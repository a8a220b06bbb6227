"""What Ansible takes in an inventory without a word, and nobody can mean: doubled keys, misspelt variables and groups."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploybundle.errors import InputError, did_you_mean
from deployctl.site.client import ClientSettings
from deployctl.site.doubled import doubled
from deployctl.site.model import MANAGEMENT, Site
from deployctl.site.view import encrypted, inventory_files

CLOSE = 0.8
"""How like a known word a word must be to be taken for it, misspelt (difflib's ratio)."""
WORDS = """
    host port user password pass connection private_key_file become become_user become_method become_password
    become_pass become_exe become_flags shell_type shell_executable python_interpreter remote_tmp timeout pipelining
    host_key_checking ssh_host ssh_port ssh_user ssh_password ssh_pass ssh_private_key_file ssh_common_args
    ssh_extra_args ssh_args ssh_executable ssh_pipelining ssh_retries ssh_timeout ssh_transfer_method ssh_use_tty
    sftp_extra_args scp_extra_args ssh_host_key_checking ssh_control_path ssh_control_path_dir control_path sudo_pass
    facts group_priority
"""
KNOWN = frozenset(f"ansible_{word}" for word in WORDS.split())
"""How Ansible reaches a host (ansible.builtin.ssh, become plugins)."""


class InventoryInvalid(InputError):
    """hosts.yml says something that cannot be meant.

    Mend each place that is listed in hosts.yml. `ansible-inventory -i FOLDER --list` shows what Ansible makes of it.
    """

    code = "inventory-invalid"


def check_files(folder: Path) -> Iterator[InventoryInvalid]:
    """Keys that stand twice in the inventory's own files; client.yml looks after itself."""
    for path in inventory_files(folder):
        if path.suffix in (".yml", ".yaml") and path.name != "client.yml" and not encrypted(path):
            for line, words in doubled(path.read_bytes()):
                yield InventoryInvalid(words, place=f"{path}:{line}", hint="leave one of them out")


def check_names(listed: Mapping[str, Any], place: Path) -> Iterator[InventoryInvalid]:
    """Variables and groups that are nearly those that mean something."""
    found = {
        variable: host for host, own in listed["_meta"]["hostvars"].items() for variable in own if _misspelt(variable, KNOWN)
    }
    for variable, host in found.items():
        guess = did_you_mean(variable, KNOWN)
        yield InventoryInvalid("Ansible knows no such variable", place=f"{place}: {host}.{variable}", hint=guess)
    for group in listed:
        if _misspelt(group, {MANAGEMENT}):
            hint = f'did you mean "{MANAGEMENT}"? in any other group services may be placed on the deploy node'
            yield InventoryInvalid("is nearly the group of the deploy node", place=f"{place}: {group}", hint=hint)


def _misspelt(word: str, known: frozenset[str] | set[str]) -> bool:
    return word not in known and bool(difflib.get_close_matches(word, known, n=1, cutoff=CLOSE))


def check_segments(site: Site, client: ClientSettings) -> Iterator[InventoryInvalid]:
    """Segments of client.yml: each has hosts, and holds them."""
    for name, said in client.segments.items():
        place = f"{site.folder / 'group_vars/all/client.yml'}: segments.{name}"
        if name not in site.segments:
            yield InventoryInvalid("no host stands in that segment", place=place, hint=did_you_mean(name, site.segments))
        for host in site.segments.get(name, []):
            if ipaddress.ip_address(host.address) not in said.cidr:
                words = f"{host.name} has the address {host.address}, which is not in {said.cidr}"
                yield InventoryInvalid(words, place=f"{place}.cidr", hint="widen cidr, or mend ansible_host in hosts.yml")
