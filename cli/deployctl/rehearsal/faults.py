"""What goes wrong at a site, to try it: power, cables, partitions."""

from __future__ import annotations

import re
from typing import Literal

from deployctl.rehearsal import docker, found, guard, naming
from deployctl.rehearsal.inside import exec_in, wait_ready


def power_off(client: str, machine: str) -> None:
    """Cut the power: nothing is told to stop. It stays off until `power_on`."""
    docker.run(["kill", naming.container(client, machine)])


def power_on(client: str, machine: str) -> None:
    """Start a machine that is off, and wait until it has booted."""
    docker.run(["start", naming.container(client, machine)])
    wait_ready(client, machine, found.machines(client)[machine].kind)


def cut_cable(client: str, machine: str) -> None:
    """Pull the machine's network cable; its addresses and routes stay, as on a real one."""
    _cable(client, machine, "down")


def plug(client: str, machine: str) -> None:
    """Put the cable back."""
    _cable(client, machine, "up")


def partition(client: str, one: str, other: str | None = None) -> None:
    """Lose every packet between two machines, or of one with all others, also within a segment; `heal` ends it."""
    there = found.machines(client)
    a, b = there[one].address, there[other].address if other else None
    table = naming.guard_table(client)
    ways = ((f"saddr {a}", f"ip daddr {b}" if b else ""), (f"daddr {a}", f"ip saddr {b}" if b else ""))
    rules = "".join(f"add rule inet {table} fault ip {near} {far} drop\n" for near, far in ways)
    guard.outside(["nft", "-f", "-"], _image(client), given=rules)


def heal(client: str) -> None:
    """End all partitions."""
    guard.outside(["nft", "flush", "chain", "inet", naming.guard_table(client), "fault"], _image(client))


def _cable(client: str, machine: str, way: Literal["up", "down"]) -> None:
    """The outer end of the guest's veth pair, found by the index that the guest sees."""
    index = exec_in(client, machine, ["cat", "/sys/class/net/eth0/iflink"], check=True).stdout.strip()
    links = guard.outside(["ip", "-o", "link"], _image(client))
    name = re.search(rf"^{index}: ([^@:]+)", links, re.MULTILINE)
    if name is None:
        raise docker.DockerFailed(f"no interface {index} on this machine", place=machine)
    guard.outside(["ip", "link", "set", name[1], way], _image(client))


def _image(client: str) -> str:
    """The image of the client's router, which has nft and ip."""
    return docker.lines(["inspect", "--format", "{{.Config.Image}}", naming.container(client, naming.ROUTER)])[0]
