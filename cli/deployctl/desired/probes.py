"""Which connections to try, and what isolation promises for each: every flow, and every pair that is no flow.

From each service's container and from the host itself, over TCP and UDP, by every address that leads anywhere. What comes
from networks outside cannot be tried from inside; IPv6 addresses are asked of the hosts when it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from deploybundle.release import Port, Release
from deployctl.desired.addresses import ServiceNet
from deployctl.desired.flows import SiteFlows, host_port
from deployctl.desired.model import Probe
from deployctl.desired.placement import Placement
from deployctl.site import Host, Site

OUTSIDE = "192.0.2.1"
"""An address that nobody has (RFC 5737): a container that reaches it has a way out."""
SSH = Port(22)
PROTOCOLS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
NO_FLOW = "no flow"


@dataclass(frozen=True)
class Matrix:
    """What the pairs of one host are made from."""

    host: Host
    release: Release
    site: Site
    placed: Placement
    flows: SiteFlows
    nets: Mapping[str, ServiceNet]

    def probe(self, source: str | None, target: str, address: str, port: Port, opens: bool, why: str) -> Probe:
        """One pair."""
        name = f"{source or 'host'}>{address}:{port.port}/{port.protocol}"
        supposed = opens and self.release.plain
        return Probe(name, source, target, address, port.port, port.protocol, opens, why, supposed)


def probes(
    host: Host, release: Release, site: Site, placed: Placement, flows: SiteFlows, nets: Mapping[str, ServiceNet]
) -> tuple[Probe, ...]:
    """All connections to try from one host."""
    matrix = Matrix(host, release, site, placed, flows, nets)
    here = [name for name, hosts in placed.items() if host in hosts]
    found: dict[str, Probe] = {}
    for each in (pair for source in here for pair in _of_container(source, matrix)):
        found.setdefault(each.id, each)
    for each in _of_host(matrix):
        found.setdefault(each.id, each)
    return tuple(found[key] for key in sorted(found))


def _of_container(source: str, matrix: Matrix) -> Iterator[Probe]:
    """What is permitted first: the same pair as a forbidden one is then known already."""
    yield from _allowed(source, matrix)
    for address, number, target in _others(source, matrix):
        for protocol in PROTOCOLS:
            yield matrix.probe(source, target, address, Port(number, protocol), False, NO_FLOW)
    for other in matrix.site.hosts.values():
        yield matrix.probe(source, f"ssh of {other.name}", other.address, SSH, False, NO_FLOW)
    yield matrix.probe(source, "ssh of its own host", str(matrix.nets[source].gateway), SSH, False, NO_FLOW)
    for port in (Port(443), Port(53, "udp")):
        yield matrix.probe(source, "outside", OUTSIDE, port, False, NO_FLOW)


def _allowed(source: str, matrix: Matrix) -> Iterator[Probe]:
    flows = matrix.flows.of(matrix.host.name)
    for local in flows.local:
        if local.source == source:
            address, why = str(matrix.nets[local.target].virtual), f"{source} → {local.target}:{local.port}"
            yield matrix.probe(source, local.target, address, local.port, True, why)
    for leaving in flows.leaving:
        if leaving.source == source:
            why = f"{source} → {leaving.target}:{leaving.port} at {leaving.to}"
            yield matrix.probe(source, leaving.target, leaving.address, leaving.port, True, why)


def _others(source: str, matrix: Matrix) -> Iterator[tuple[str, int, str]]:
    """Every way to a service's ports that a container might try: by each host, and on its own host by what is behind it."""
    for target, service in matrix.release.services.items():
        for port in service.ports:
            for other in matrix.placed[target]:
                yield other.address, host_port(matrix.release, matrix.site, target, port), target
                if other == matrix.host and target != source:
                    yield str(matrix.nets[target].virtual), port.port, target
                    yield str(matrix.nets[target].container), port.port, target
    for external, number in sorted(_externals(matrix)):
        yield str(matrix.site.client.externals[external].address), number, external


def _externals(matrix: Matrix) -> set[tuple[str, int]]:
    """The targets outside that some service may reach."""
    return {(flow.target, flow.port.port) for flow in matrix.flows.leaving if flow.target not in matrix.release.services}


def _of_host(matrix: Matrix) -> Iterator[Probe]:
    """Programs of the host: to its own services by their mapped ports, to others' not, and never past the map."""
    for target, service in matrix.release.services.items():
        for port in service.ports:
            at = Port(host_port(matrix.release, matrix.site, target, port), port.protocol)
            for other in matrix.placed[target]:
                if other == matrix.host:
                    yield from _own(target, port, at, matrix)
                elif not _permitted(other, at, matrix):
                    yield matrix.probe(None, target, other.address, at, False, "a host's own programs have no flows")


def _own(target: str, port: Port, at: Port, matrix: Matrix) -> Iterator[Probe]:
    if (matrix.host.name, at.port, at.protocol) in matrix.flows.exposed:
        yield matrix.probe(None, target, matrix.host.address, at, True, "the host itself reaches what it runs")
    past = "past the map"
    yield matrix.probe(None, target, str(matrix.nets[target].container), port, False, past)


def _permitted(other: Host, at: Port, matrix: Matrix) -> bool:
    """Whether this host lies in a network outside that is let in there: then nothing is promised."""
    own = ip_address(matrix.host.address)
    return any(
        own in ip_network(cidr)
        for flow in matrix.flows.of(other.name).arriving
        if Port(flow.host_port, flow.port.protocol) == at and flow.origin not in matrix.release.services
        for cidr in flow.sources
    )
