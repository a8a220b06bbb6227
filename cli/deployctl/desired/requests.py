"""What the client's network team is asked to permit: every connection that crosses a firewall between segments, as rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from ipaddress import ip_address, ip_network

from deployctl.desired.flows import EVERYWHERE, SiteFlows
from deployctl.site import Host, Site

IN, BETWEEN, OUT, MANAGE = "in", "between segments", "out", "management"
SSH_PORT = 22


@dataclass(frozen=True)
class Request:
    """One rule for a firewall: from a host or network to a host and its port. Answers come back by the same connection."""

    direction: str
    source: str
    source_segment: str
    source_address: str
    destination: str
    destination_segment: str
    destination_address: str
    protocol: str
    port: int
    purpose: str


def requests(flows: SiteFlows, site: Site, *, within: bool = False) -> list[Request]:
    """All of them, each once with all its purposes. Connections `within` a segment mostly pass no firewall: left out."""
    found: dict[Request, list[str]] = {}
    for row in [*_management(site), *_inward(flows, site), *_onward(flows, site, within)]:
        found.setdefault(replace(row, purpose=""), []).append(row.purpose)
    return [replace(row, purpose="; ".join(dict.fromkeys(purposes))) for row, purposes in found.items()]


def as_csv(rows: Iterable[Request]) -> str:
    """A table with a head, as spreadsheets read it (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([field.name.replace("_", " ") for field in fields(Request)])
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def _management(site: Site) -> Iterator[Request]:
    node = site.deploy_node
    for host in site.targets if node else []:
        port = int(host.variables.get("ansible_port") or SSH_PORT)
        yield _row(MANAGE, node, host, "tcp", port, "deployctl installs and looks, over SSH")  # type: ignore[arg-type]


def _inward(flows: SiteFlows, site: Site) -> Iterator[Request]:
    for flow in flows.arriving:
        if flow.origin not in _callers(flows):
            host = site.hosts[flow.host]
            for source in flow.sources:
                yield Request(
                    IN, flow.origin, "outside", "any" if source == EVERYWHERE else source, host.name, host.segment,
                    host.address, flow.port.protocol, flow.host_port, f"{flow.origin} → {flow.target}",
                )  # fmt: skip


def _onward(flows: SiteFlows, site: Site, within: bool) -> Iterator[Request]:
    for flow in flows.leaving:
        here, there = site.hosts[flow.host], site.hosts.get(flow.to)
        purpose = f"{flow.source} → {flow.target}"
        if there is None:
            yield Request(
                OUT, here.name, here.segment, here.address, flow.to, "outside", flow.address,
                flow.port.protocol, flow.port.port, purpose,
            )  # fmt: skip
        elif within or _parted(here, there, site):
            yield _row(BETWEEN, here, there, flow.port.protocol, flow.port.port, purpose)


def _callers(flows: SiteFlows) -> set[str]:
    """The services that call across hosts: what arrives from them is told as what leaves."""
    return {flow.source for flow in flows.leaving}


def _parted(one: Host, other: Host, site: Site) -> bool:
    """Whether they stand in different networks, whatever the segments are called."""
    return ip_address(other.address) not in ip_network(site.segment_cidr(one.segment))


def _row(direction: str, source: Host, target: Host, protocol: str, port: int, purpose: str) -> Request:
    return Request(
        direction, source.name, source.segment, source.address, target.name, target.segment, target.address,
        protocol, port, purpose,
    )  # fmt: skip
