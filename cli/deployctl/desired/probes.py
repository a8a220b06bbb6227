"""Which connections to try, and what isolation promises for each: every flow, and every pair that is no flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybundle.release import Port, Release
from deployctl.desired.addresses import ServiceNet
from deployctl.desired.flows import SiteFlows, host_port
from deployctl.desired.model import Probe
from deployctl.desired.placement import Placement
from deployctl.site import Host, Site

OUTSIDE = "192.0.2.1"
"""An address that nobody has (RFC 5737): a container that reaches it has a way out."""
SSH = Port(22)


def probes(
    host: Host, release: Release, site: Site, placed: Placement, flows: SiteFlows, nets: Mapping[str, ServiceNet]
) -> tuple[Probe, ...]:
    """All connections to try from one host's containers."""
    found: dict[tuple[str, str, int, str], Probe] = {}
    here = [name for name, hosts in placed.items() if host in hosts]
    for source in here:
        allowed = {(a, p, proto): why for a, p, proto, why in _allowed(source, flows.of(host.name), nets)}
        for (address, port, protocol), (target, why) in allowed.items():
            found[source, address, port, protocol] = _probe(source, target, address, port, protocol, True, why, release.plain)
        for address, at, target in _others(source, host, release, site, placed, nets):
            key = (source, address, at.port, at.protocol)
            if at.protocol == "tcp" and key not in found:
                found[key] = _probe(source, target, address, at.port, at.protocol, False, "no flow")
    return tuple(found[key] for key in sorted(found))


def _probe(
    source: str, target: str, address: str, port: int, protocol: str, is_open: bool, why: str, supposed: bool = False
) -> Probe:
    return Probe(f"{source}>{address}:{port}/{protocol}", source, target, address, port, protocol, is_open, why, supposed)


def _allowed(source: str, flows: SiteFlows, nets: Mapping[str, ServiceNet]) -> Iterator[tuple[str, int, str, tuple[str, str]]]:
    """What a service may reach; UDP is left out, since silence says nothing there."""
    for local in flows.local:
        if local.source == source and local.port.protocol == "tcp":
            why = (local.target, f"{source} → {local.target}:{local.port}")
            yield str(nets[local.target].virtual), local.port.port, "tcp", why
    for leaving in flows.leaving:
        if leaving.source == source and leaving.port.protocol == "tcp":
            why = (leaving.target, f"{source} → {leaving.target}:{leaving.port} at {leaving.to}")
            yield leaving.address, leaving.port.port, "tcp", why


def _others(
    source: str, host: Host, release: Release, site: Site, placed: Placement, nets: Mapping[str, ServiceNet]
) -> Iterator[tuple[str, Port, str]]:
    """Every other way in that a container might try: each service's port by each address, ssh of each host, and out."""
    for target, service in release.services.items():
        for port in service.ports:
            for other in placed[target]:
                yield other.address, Port(host_port(release, site, target, port), port.protocol), target
                if other == host and target != source:
                    yield str(nets[target].virtual), port, target
                    yield str(nets[target].container), port, target
    for other in site.hosts.values():
        yield other.address, SSH, f"ssh of {other.name}"
    yield str(nets[source].gateway), SSH, "ssh of its own host"
    yield OUTSIDE, Port(443), "outside"
