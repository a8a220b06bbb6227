"""What is there already at a site that a product must keep clear of: the networks in use, and our other products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from deploybundle.errors import InputError
from deployctl.site import Site

Facts = Mapping[str, Any]
ROOM = 20
"""Bits of a product's network: a /20 has room for 240 services."""
ELSEWHERE = ("172.30.0.0/16", "172.28.0.0/16", "10.213.0.0/16", "10.214.0.0/16", "192.168.192.0/18", "100.96.0.0/16")
"""What may be proposed where the client's pool is taken: seldom used, private (RFC 1918) or shared (RFC 6598)."""


class PoolOverlaps(InputError):
    """The addresses for containers are in use: by a network, a segment or a machine that client.yml itself names.

    Containers would reach each other instead of those machines. Choose another `pool` in client.yml.
    """

    code = "pool-overlaps"


@dataclass(frozen=True)
class Around:
    """`own` are networks that the product itself has already, `used` those of everybody else, by what they are.

    `answers` are the names that our other products' settings and services have: what client.yml says about them is no
    mistake. None: one of them was installed by a deployctl that did not write them down, so any name may be one.
    """

    own: tuple[IPv4Network, ...] = ()
    used: Mapping[IPv4Network, str] | None = None
    answers: frozenset[str] | None = frozenset()


def around(facts: Mapping[str, Facts], project: str) -> Around:
    """What the hosts say. A network of Docker's is known by its project; a route is somebody's unless it is one of those."""
    own: set[IPv4Network] = set()
    used: dict[IPv4Network, str] = {}
    for host, about in facts.items():
        mine = {_net(subnet) for net in about["networks"] if net["project"] == project for subnet in net["subnets"]}
        own |= {net for net in mine if net is not None}
        for net, what in _others(about, project):
            if net is not None and net not in mine:
                used.setdefault(net, f"{what} at {host}")
    return Around(tuple(sorted(own)), used, _answers(facts))


def _others(about: Facts, project: str) -> Iterator[tuple[IPv4Network | None, str]]:
    for name, neighbour in about.get("neighbours", {}).items():
        if neighbour.get("pool"):
            yield _net(neighbour["pool"]), f"the product {name}"
    for net in about["networks"]:
        if net["project"] != project:
            yield from ((_net(subnet), f"Docker's network {net['name']}") for subnet in net["subnets"])
    for route in about["routes"]:
        yield _net(route), "a route"


def _net(text: str) -> IPv4Network | None:
    net = ip_network(text, strict=False)
    return net if isinstance(net, IPv4Network) else None


def _answers(facts: Mapping[str, Facts]) -> frozenset[str] | None:
    found: set[str] = set()
    for about in facts.values():
        for neighbour in about.get("neighbours", {}).values():
            if neighbour.get("answers") is None:
                return None
            found.update(neighbour["answers"])
    return frozenset(found)


def choose_pool(site: Site, given: Around) -> IPv4Network:
    """The /20 of the client's pool that the product has already; else the first that nobody uses.

    Where hosts use all of it, the first: preflight then says which host uses it for what. Raises PoolOverlaps where
    client.yml contradicts itself.
    """
    rooms = list(site.client.pool.subnets(new_prefix=ROOM))
    said = dict(_said(site))
    held = [room for room in rooms if any(net.subnet_of(room) for net in given.own)]
    free = [room for room in held or rooms if not _overlaps(room, said)]
    if not free:
        room = (held or rooms)[0]
        raise PoolOverlaps(
            f"{room} overlaps {_overlaps(room, said)}", place=site.said_at("pool"), hint=f"pool: {proposal(site, given)}"
        )
    return next((room for room in free if held or not _overlaps(room, given.used or {})), free[0])


def proposal(site: Site, given: Around) -> str:
    """A pool that would be free."""
    used = {**dict(_said(site)), **(given.used or {})}
    return next((pool for pool in ELSEWHERE if not _overlaps(IPv4Network(pool), used)), "a network that nobody uses")


def _overlaps(net: IPv4Network, others: Mapping[IPv4Network, str]) -> str:
    return next((f"{other} ({what})" for other, what in others.items() if other.prefixlen and other.overlaps(net)), "")


def _said(site: Site) -> Iterator[tuple[IPv4Network, str]]:
    """What the inventory and client.yml call somebody's."""
    for segment in site.segments:
        yield IPv4Network(site.segment_cidr(segment)), f"segment {segment}"
    for host in site.hosts.values():
        yield IPv4Network(host.address), f"host {host.name}"
    for name, network in site.client.networks.items():
        yield from ((cidr, f"networks.{name}") for cidr in network.cidr)
    for name, external in site.client.externals.items():
        yield IPv4Network(external.address), f"externals.{name}"
