"""Flows between services, spread over hosts: who may connect from where to which address and port.

Three kinds. A `local` flow has both ends on one host and goes to the service address. A `leaving` one goes from a
container to another host or to a target outside. An `arriving` one reaches a host's own address and port, from other
hosts or from networks outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from deploybundle.errors import InputError, did_you_mean
from deploybundle.release import ANY, Flow, Port, Release
from deployctl.desired.placement import Placement, client_file
from deployctl.site import Host, Site

EVERYWHERE = "0.0.0.0/0"
Item = TypeVar("Item")


class FlowInvalid(InputError):
    """A flow names something that neither the release nor the client knows, or two services want one port.

    Give the name in client.yml (`networks`, `externals`), or mend the flow in compose.yaml.
    """

    code = "flow-invalid"


class Local(NamedTuple):
    """From a service to a service of the same host."""

    host: str
    source: str
    target: str
    port: Port


class Leaving(NamedTuple):
    """From a service on `host` to an address of another machine. `to` is the host's or the external's name."""

    host: str
    source: str
    target: str
    to: str
    address: str
    port: Port


class Arriving(NamedTuple):
    """From a source network (CIDR) to a service by the host's own address; `host_port` is where it arrives."""

    host: str
    sources: tuple[str, ...]
    origin: str
    target: str
    port: Port
    host_port: int


@dataclass(frozen=True)
class SiteFlows:
    """All flows of a site."""

    local: tuple[Local, ...]
    leaving: tuple[Leaving, ...]
    arriving: tuple[Arriving, ...]

    def of(self, host: str) -> SiteFlows:
        """Those of one host."""
        return SiteFlows(
            tuple(flow for flow in self.local if flow.host == host),
            tuple(flow for flow in self.leaving if flow.host == host),
            tuple(flow for flow in self.arriving if flow.host == host),
        )

    @property
    def exposed(self) -> Mapping[tuple[str, int, str], tuple[str, Port]]:
        """(host, host port, protocol) -> the service and its port."""
        return {(flow.host, flow.host_port, flow.port.protocol): (flow.target, flow.port) for flow in self.arriving}


def host_port(release: Release, site: Site, service: str, port: Port) -> int:
    """Where a service's port is reached at its host: as the client says, as Compose publishes it, else the same."""
    said = site.client.ports.get(service, {}).get(port.port)
    return said if said is not None else release.services[service].published.get(port, port.port)


def site_flows(release: Release, site: Site, placed: Placement) -> SiteFlows:
    """Every flow of the release at this site.

    Raises FlowInvalid, with every problem.
    """
    _check_ports(release, site)
    _check_names(release, site)
    local: list[Local] = []
    leaving: list[Leaving] = []
    arriving: list[Arriving] = []
    for flow in release.flows:
        port = Port(flow.port, flow.protocol)
        if flow.source not in release.services:
            arriving += _from_outside(flow, port, release, site, placed)
        elif flow.target not in release.services:
            leaving += _to_outside(flow, port, site, placed)
        else:
            local += [Local(h.name, flow.source, flow.target, port) for h in _both(flow, placed)]
            leaving += _between(flow, port, release, site, placed)
            arriving += _received(flow, port, release, site, placed)
    found = SiteFlows(_once(local), _once(leaving), _once(arriving))
    _check_clashes(found, site)
    return found


def _once(items: list[Item]) -> tuple[Item, ...]:
    return tuple(dict.fromkeys(items))


def _both(flow: Flow, placed: Placement) -> list[Host]:
    return [host for host in placed[flow.source] if host in placed[flow.target]]


def _between(flow: Flow, port: Port, release: Release, site: Site, placed: Placement) -> Iterator[Leaving]:
    at = Port(host_port(release, site, flow.target, port), port.protocol)
    for host in placed[flow.source]:
        for other in placed[flow.target]:
            if other != host:
                yield Leaving(host.name, flow.source, flow.target, other.name, other.address, at)


def _received(flow: Flow, port: Port, release: Release, site: Site, placed: Placement) -> Iterator[Arriving]:
    at = host_port(release, site, flow.target, port)
    for host in placed[flow.target]:
        sources = tuple(f"{other.address}/32" for other in placed[flow.source] if other != host)
        if sources:
            yield Arriving(host.name, sources, flow.source, flow.target, port, at)


def _from_outside(flow: Flow, port: Port, release: Release, site: Site, placed: Placement) -> Iterator[Arriving]:
    sources = (EVERYWHERE,) if flow.source == ANY else tuple(str(net) for net in site.client.networks[flow.source].cidr)
    at = host_port(release, site, flow.target, port)
    for host in placed[flow.target]:
        yield Arriving(host.name, sources, flow.source, flow.target, port, at)


def _to_outside(flow: Flow, port: Port, site: Site, placed: Placement) -> Iterator[Leaving]:
    address = str(site.client.externals[flow.target].address)
    for host in placed[flow.source]:
        yield Leaving(host.name, flow.source, flow.target, flow.target, address, port)


def _check_ports(release: Release, site: Site) -> None:
    for name, ports in site.client.ports.items():
        place = site.said_at("ports", name)
        if name not in release.services:
            raise FlowInvalid(f'no service "{name}"', place=place, hint=did_you_mean(name, release.services))
        known = {port.port for port in release.services[name].ports}
        for port in sorted(set(ports) - known):
            raise FlowInvalid(f"it does not listen on {port}", place=place, hint=did_you_mean("", map(str, known)))


def _check_names(release: Release, site: Site) -> None:
    problems = [problem for flow in release.flows for problem in _unknown(flow, release, site)]
    if problems:
        hint = f"the release needs these answers in {client_file(site)}"
        raise FlowInvalid("\n".join(dict.fromkeys(problems)), hint=hint)


def _unknown(flow: Flow, release: Release, site: Site) -> Iterator[str]:
    place = f"{client_file(site)}: "
    services, networks, externals = release.services, site.client.networks, site.client.externals
    if flow.source not in services and flow.source != ANY and flow.source not in networks:
        yield f'{place}networks.{flow.source}: missing; the release lets "{flow.source}" reach {flow.target}:{flow.port}'
    if flow.target not in services and flow.target not in externals:
        yield f'{place}externals.{flow.target}: missing; the release lets {flow.source} reach "{flow.target}:{flow.port}"'


def _check_clashes(flows: SiteFlows, site: Site) -> None:
    seen: dict[tuple[str, int, str], tuple[str, Port]] = {}
    for flow in flows.arriving:
        key, value = (flow.host, flow.host_port, flow.port.protocol), (flow.target, flow.port)
        if seen.setdefault(key, value) != value:
            other = seen[key]
            raise FlowInvalid(
                f"{other[0]} and {flow.target} both want port {flow.host_port}/{flow.port.protocol} of {flow.host}",
                place=f"{client_file(site)}: ports",
                hint=f"give one of them another, e.g. ports: {{{flow.target}: {{{flow.port.port}: {flow.host_port + 1}}}}}",
            )
