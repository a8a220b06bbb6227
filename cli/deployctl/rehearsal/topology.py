"""From the inventory to networks and machines. Pure: a Site in, a Topology out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal

from deploybundle.errors import InputError, did_you_mean
from deployctl.rehearsal import naming
from deployctl.rehearsal.firewall import HostFlow
from deployctl.rehearsal.images import SYSTEMS
from deployctl.site import MANAGEMENT, Host, Site

Kind = Literal["router", "host", "deploy", "network", "external"]
SMALLEST = 29
"""A Docker network needs room for a gateway, the router and a machine; what is smaller is widened to its /24."""


class RehearsalImpossible(InputError):
    """The inventory cannot be rebuilt as containers on this machine.

    Change the addresses or names that are listed, or take down what uses them (`deployctl rehearse down`).
    """

    code = "rehearsal-impossible"


@dataclass(frozen=True)
class Network:
    """One network. `gateway` is the router's address that machines use; `leg` the one that Docker gives the router."""

    name: str
    cidr: IPv4Network
    gateway: IPv4Address
    leg: IPv4Address
    bridge: str


@dataclass(frozen=True)
class Machine:
    """One container. `user` and `port` are those of its SSH, for what has one; `docker`: whether it has an engine."""

    name: str
    kind: Kind
    network: str
    address: IPv4Address
    user: str = "ops"
    port: int = 22
    system: str = "debian-13"
    docker: bool = True


@dataclass(frozen=True)
class Topology:
    """A whole site, without its router, which has a leg in every network."""

    client: str
    folder: Path
    networks: tuple[Network, ...]
    machines: tuple[Machine, ...]

    @property
    def state(self) -> Path:
        """The folder of what the rehearsal generates: keys, the router's rules."""
        return self.folder / ".site" / "rehearsal"

    def machine(self, name: str) -> Machine:
        """The machine of that name; raises KeyError."""
        return {machine.name: machine for machine in self.machines}[name]

    @property
    def basic_flows(self) -> list[HostFlow]:
        """What every site permits, whatever it runs: SSH from the deploy node's network to every host."""
        sources = {str(self.network_of(machine).cidr) for machine in self.machines if machine.kind == "deploy"}
        hosts = [machine for machine in self.machines if machine.kind == "host"]
        return [HostFlow(tuple(sorted(sources)), (str(host.address),), host.port) for host in hosts if sources]

    def network_of(self, machine: Machine) -> Network:
        """The network that a machine stands in."""
        return {network.name: network for network in self.networks}[machine.network]


@dataclass
class _Plan:
    """Networks as they are found, by CIDR: segments that share one become one network."""

    place: str
    found: dict[IPv4Network, str] = field(default_factory=dict)

    def add(self, name: str, cidr: IPv4Network) -> str:
        """The name of the network that holds `cidr`, made if none does."""
        for known, owner in self.found.items():
            if cidr.subnet_of(known):
                return owner
            if cidr.overlaps(known):
                raise RehearsalImpossible(
                    f'"{name}" is {cidr} and "{owner}" is {known}: they overlap', place=self.place,
                    hint="say the segments' networks in client.yml: segments: {NAME: {cidr: …}}",
                )  # fmt: skip
        self.found[cidr] = name
        return name

    def holding(self, address: IPv4Address) -> str | None:
        """The name of the network that `address` lies in."""
        return next((name for cidr, name in self.found.items() if address in cidr), None)


def topology(site: Site) -> Topology:
    """Lay the client's site out as networks and machines.

    Raises RehearsalImpossible where networks overlap, an address lies outside its segment, or an address or name is used twice.
    """
    plan = _Plan(str(site.folder))
    for segment in site.segments:
        plan.add(segment, IPv4Network(site.segment_cidr(segment)))
    hosts = [_host(host, plan) for host in site.hosts.values()]
    outside = [*_externals(site, plan), *_outside_networks(site, plan, {host.address for host in hosts})]
    machines = (*hosts, *outside)
    _all_different(machines, plan.place)
    return Topology(site.name, site.folder.resolve(), tuple(_networks(site.name, plan, machines)), machines)


def _host(host: Host, plan: _Plan) -> Machine:
    address = IPv4Address(host.address)
    network = plan.holding(address)
    if network is None:
        raise RehearsalImpossible(
            f'{host.name} has {address}, which lies in no network of segment "{host.segment}"', place=plan.place,
            hint="say the segment's network in client.yml: segments: {NAME: {cidr: …}}",
        )  # fmt: skip
    user, port = str(host.variables.get("ansible_user", "ops")), int(host.variables.get("ansible_port", 22))
    kind: Kind = "deploy" if host.segment == MANAGEMENT else "host"
    return Machine(host.name, kind, network, address, user, port, _system(host, plan.place), _has_docker(host))


def _system(host: Host, place: str) -> str:
    system = str(host.variables.get("rehearse_system", next(iter(SYSTEMS))))
    if system not in SYSTEMS:
        what = f'rehearse_system of {host.name}: expected one of {", ".join(SYSTEMS)}, got "{system}"'
        raise RehearsalImpossible(what, place=place, hint=did_you_mean(system, SYSTEMS))
    return system


def _has_docker(host: Host) -> bool:
    return bool(host.variables.get("rehearse_docker", True))


def _externals(site: Site, plan: _Plan) -> Iterator[Machine]:
    for name, external in site.client.externals.items():
        address = IPv4Address(str(external.address))
        network = plan.holding(address) or plan.add(name, IPv4Network(f"{address}/24", strict=False))
        yield Machine(name, "external", network, address)


def _outside_networks(site: Site, plan: _Plan, taken: set[IPv4Address]) -> Iterator[Machine]:
    """A machine in each network outside, to try from; the whole internet is not rebuilt."""
    for name, outside in site.client.networks.items():
        cidr = IPv4Network(str(outside.cidr[0]))
        if cidr.prefixlen < 8:
            continue
        wide = cidr if cidr.prefixlen <= SMALLEST else cidr.supernet(new_prefix=24)
        yield Machine(name, "network", plan.add(name, wide), _caller_in(cidr, taken))


def _caller_in(cidr: IPv4Network, taken: set[IPv4Address]) -> IPv4Address:
    """A free address well inside the network: the tenth, as people number them, or the last one of a small network."""
    wanted = [cidr.network_address + 10] if cidr.prefixlen <= 28 else []
    free = [address for address in (*wanted, *reversed(list(_some_hosts(cidr)))) if address not in taken]
    taken.add(free[0])
    return free[0]


def _some_hosts(cidr: IPv4Network) -> Iterator[IPv4Address]:
    """Usable addresses of a network, at most the first 256 of them."""
    for number, address in enumerate(cidr.hosts()):
        if number >= 256:
            return
        yield address


def _networks(client: str, plan: _Plan, machines: tuple[Machine, ...]) -> Iterator[Network]:
    taken = {machine.address for machine in machines}
    for number, (cidr, name) in enumerate(plan.found.items()):
        free = [address for address in _some_hosts(cidr) if address not in taken]
        if len(free) < 2:
            raise RehearsalImpossible(f'network "{name}" ({cidr}) has no room for a router', place=plan.place)
        yield Network(name, cidr, free[0], free[-1], naming.bridge(client, number, name))


def _all_different(machines: tuple[Machine, ...], place: str) -> None:
    names = {naming.ROUTER: "the router"}
    addresses: dict[IPv4Address, str] = {}
    for machine in machines:
        if machine.name in names:
            raise RehearsalImpossible(f'the name "{machine.name}" is taken twice', place=place)
        if machine.address in addresses:
            other = addresses[machine.address]
            raise RehearsalImpossible(f"{machine.name} and {other} have the same address {machine.address}", place=place)
        names[machine.name] = addresses[machine.address] = machine.name
