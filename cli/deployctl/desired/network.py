"""One nftables table a project: the map of what is live, and the filter of what may connect. See decision 0003.

Both are derived from the same flows, so that nothing is reachable that is not a flow. A packet that we let through
carries our mark, by which the one rule in Docker's DOCKER-USER chain knows it; Docker would else refuse connections
between networks of one host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybundle.release import Port
from deployctl.desired.addresses import ServiceNet, bridge_prefix
from deployctl.desired.flows import EVERYWHERE, Arriving, Leaving, Local, SiteFlows
from deployctl.desired.readme import table
from deployctl.site import Host

MARK = "0x00dc0000"
"""The bits that say: deployctl's filter let this packet through."""
PROTOCOLS = ("tcp", "udp")


def ruleset(
    project: str, host: Host, flows: SiteFlows, nets: Mapping[str, ServiceNet], others: Mapping[str, tuple[str, ...]]
) -> str:
    """The text of a host's table, for `nft -f`: it replaces itself in one transaction.

    `nets` are the services of this host; `others` the endpoints of the product on other hosts, "address . port" by
    protocol, which only containers may reach, and only by a flow.
    """
    ours = f'"{bridge_prefix(project)}*"'
    name = f"inet {table(project)}"
    blocks = [
        *[_map(protocol, host, flows, nets) for protocol in PROTOCOLS],
        _chain("prerouting", "nat", "prerouting", "dstnat - 10", _dnat()),
        _chain("host_dnat", "nat", "output", "-110", _dnat()),
        _chain("postrouting", "nat", "postrouting", "srcnat - 10", _masquerade(ours, nets)),
        _chain("forward", "filter", "forward", "filter - 5", _forward(ours)),
        _block("chain from_ours", _from_ours(flows, nets)),
        _block("chain to_ours", _to_ours(host, flows, nets)),
        _chain("input", "filter", "input", "filter - 5", [f"iifname {ours} ct state established,related accept", f"iifname {ours} counter drop"]),
        _chain("output", "filter", "output", "filter - 5", _output(ours, others)),
    ]  # fmt: skip
    return f"table {name}\ndelete table {name}\ntable {name} {{\n" + "\n".join(blocks) + "}\n"


def _map(protocol: str, host: Host, flows: SiteFlows, nets: Mapping[str, ServiceNet]) -> str:
    elements = sorted(set(_live(protocol, host, flows, nets)))
    lines = ["type ipv4_addr . inet_service : ipv4_addr . inet_service"]
    if elements:
        lines.append("elements = { " + ",\n      ".join(elements) + " }")
    return _block(f"map live_{protocol}", lines)


def _live(protocol: str, host: Host, flows: SiteFlows, nets: Mapping[str, ServiceNet]) -> Iterator[str]:
    """Where a connection goes: to a host's own port or a service address -> to the container that is live."""
    for arriving in flows.arriving:
        if arriving.port.protocol == protocol:
            yield _element(host.address, arriving.host_port, nets[arriving.target], arriving.port)
    for local in flows.local:
        if local.port.protocol == protocol:
            yield _element(str(nets[local.target].virtual), local.port.port, nets[local.target], local.port)


def _element(address: str, port: int, net: ServiceNet, to: Port) -> str:
    return f"{address} . {port} : {net.container} . {to.port}"


def _dnat() -> list[str]:
    return [f"meta l4proto {protocol} dnat ip to ip daddr . {protocol} dport map @live_{protocol}" for protocol in PROTOCOLS]


def _masquerade(ours: str, nets: Mapping[str, ServiceNet]) -> list[str]:
    """Outside they are the host; a service that calls itself must answer through us; within the host they are themselves."""
    rules = []
    for net in nets.values():
        rules.append(f"ip saddr {net.subnet} ip daddr {net.subnet} ct status dnat masquerade")
        rules.append(f"ip saddr {net.subnet} oifname != {ours} masquerade")
    return rules


def _forward(ours: str) -> list[str]:
    passed = f"ct state established,related meta mark set meta mark | {MARK} accept"
    return [
        f"iifname {ours} {passed}",
        f"oifname {ours} {passed}",
        f"iifname {ours} jump from_ours",
        f"oifname {ours} jump to_ours",
    ]


def _from_ours(flows: SiteFlows, nets: Mapping[str, ServiceNet]) -> list[str]:
    rules = [_local_rule(flow, nets) for flow in flows.local] + [_leaving_rule(flow, nets) for flow in flows.leaving]
    return [*sorted(set(rules)), "counter drop"]


def _local_rule(flow: Local, nets: Mapping[str, ServiceNet]) -> str:
    target = nets[flow.target]
    return _allow(
        f'iifname "{nets[flow.source].bridge}" oifname "{target.bridge}" meta l4proto {flow.port.protocol}'
        f" ct original ip daddr {target.virtual} ct original proto-dst {flow.port.port}"
    )


def _leaving_rule(flow: Leaving, nets: Mapping[str, ServiceNet]) -> str:
    return _allow(f'iifname "{nets[flow.source].bridge}" ip daddr {flow.address} {flow.port.protocol} dport {flow.port.port}')


def _to_ours(host: Host, flows: SiteFlows, nets: Mapping[str, ServiceNet]) -> list[str]:
    return [*sorted({_arriving_rule(host, flow, nets) for flow in flows.arriving}), "counter drop"]


def _arriving_rule(host: Host, flow: Arriving, nets: Mapping[str, ServiceNet]) -> str:
    sources = "" if EVERYWHERE in flow.sources else f"ip saddr {{ {', '.join(sorted(flow.sources))} }} "
    return _allow(
        f'{sources}oifname "{nets[flow.target].bridge}" meta l4proto {flow.port.protocol}'
        f" ct original ip daddr {host.address} ct original proto-dst {flow.host_port}"
    )


def _allow(match: str) -> str:
    return f"{match} meta mark set meta mark | {MARK} accept"


def _output(ours: str, others: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Programs of the host itself: to its own services by the map only, to those on other hosts not at all."""
    rules = [
        f"oifname {ours} ct state established,related accept",
        f"oifname {ours} ct status dnat accept",
        f"oifname {ours} counter drop",
    ]
    for protocol in PROTOCOLS:
        if others.get(protocol):
            endpoints = ", ".join(sorted(others[protocol]))
            rules.append(f"ct state new ip daddr . {protocol} dport {{ {endpoints} }} counter drop")
    return rules


def _chain(name: str, kind: str, hook: str, priority: str, rules: list[str]) -> str:
    return _block(f"chain {name}", [f"type {kind} hook {hook} priority {priority}; policy accept;", *rules])


def _block(head: str, lines: list[str]) -> str:
    return f"  {head} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"
