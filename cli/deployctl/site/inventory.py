"""The inventory, read by Ansible itself: jump hosts, host_vars, ranges and plugins mean what they mean to Ansible."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploybundle.errors import DeployctlError, InputError, did_you_mean, gathered
from deployctl.site.ansible import ansible_environment, ansible_program
from deployctl.site.client import ClientSettings, read_client
from deployctl.site.inventory_checks import InventoryInvalid, check_files, check_names, check_segments
from deployctl.site.model import Host, Site
from deployctl.site.view import inventory_view


class NoSuchClient(InputError):
    """No inventory folder of that name.

    Check the name and `--inventories`; or `deployctl client new NAME` writes an inventory to start from.
    """

    code = "no-such-client"


def load_site(folder: Path) -> Site:
    """Read the client's site from its inventory folder.

    Raises NoSuchClient, InventoryInvalid or ClientInvalid, each with every problem it found.
    """
    _must_exist(folder)
    problems: list[DeployctlError] = [*check_files(folder)]
    client = _settings(folder, problems)
    try:
        listed = _ansible_inventory(folder)
    except InventoryInvalid as problem:
        raise gathered([*problems, problem]) from None
    place = folder / "hosts.yml"
    problems += check_names(listed, place)
    hosts = dict(_hosts(listed, place, problems))
    if not hosts and not problems:
        problems.append(InventoryInvalid("names no host", place=str(place)))
    site = Site(folder.name, folder, hosts, client)
    problems += check_segments(site, client)
    if problems:
        raise gathered(problems)
    return site


def _settings(folder: Path, problems: list[DeployctlError]) -> ClientSettings:
    """client.yml; what is wrong with it joins the other problems."""
    try:
        return read_client(folder / "group_vars" / "all" / "client.yml")
    except InputError as problem:
        problems.append(problem)
        return ClientSettings()


def _must_exist(folder: Path) -> None:
    if folder.is_dir() and any((folder / name).exists() for name in ("hosts.yml", "hosts", "hosts.ini")):
        return
    siblings = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] if folder.parent.is_dir() else []
    hint = did_you_mean(folder.name, siblings) or f"`deployctl client new {folder.name}` writes one"
    raise NoSuchClient(f'no inventory for client "{folder.name}"', place=str(folder), hint=hint)


def _ansible_inventory(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="deployctl-") as temporary:
        view = inventory_view(folder, Path(temporary))
        done = subprocess.run(
            [*ansible_program("ansible-inventory"), "-i", str(view), "--list"],
            capture_output=True, text=True, check=False, cwd=temporary,
            env={**ansible_environment(), "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true"},
        )  # fmt: skip
        if done.returncode != 0:
            said = done.stderr.strip().replace(str(view), str(folder))
            raise InventoryInvalid(f"Ansible cannot read it: {said}", place=str(folder))
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def _hosts(listed: dict[str, Any], place: Path, problems: list[DeployctlError]) -> Iterator[tuple[str, Host]]:
    variables = listed["_meta"]["hostvars"]
    owners: dict[str, str] = {}
    for segment, name in _members(listed):
        known = variables.get(name, {})
        address, at = str(known.get("ansible_host", name)), f"{place}: {name}.ansible_host"
        if not _is_ipv4(address):
            problems.append(InventoryInvalid(f"expected an IPv4 address, got {address!r}", place=at))
            continue
        if owners.setdefault(address, name) != name:
            problems.append(InventoryInvalid(f"{address} is {owners[address]}'s already", place=at))
        yield name, Host(name, address, segment, known)


def _members(listed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each host with its segment: the first group that names it directly."""
    seen: set[str] = set()
    for group, content in listed.items():
        for name in content.get("hosts", []) if group not in ("_meta", "all") else []:
            if name not in seen:
                seen.add(name)
                yield group, name


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
