"""One nftables table a project: the map of what is live, and the filter of what may connect. See decision 0003.

Both come from the same flows, so that nothing is reachable that is not a flow. A packet that we let through carries our
mark, by which the one rule in Docker's DOCKER-USER chain knows it: Docker refuses traffic between networks of one host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybundle.release import Port
from deployctl.desired.addresses import ServiceNet, bridge_prefix
from deployctl.desired.flows import EVERYWHERE, Arriving, Leaving, Local, SiteFlows
from deployctl.desired.readme import table
from deployctl.site import Host

MARK = "0x10000000"
"""The one bit that says: deployctl let this packet pass. Outside those of Kubernetes, Tailscale and Docker Swarm."""
PROTOCOLS = ("tcp", "udp")
COUNTERS = ("refused_out", "refused_in", "refused_host", "refused_local", "spoofed")
Nets = Mapping[str, ServiceNet]
Others = Mapping[str, tuple[str, ...]]


def ruleset(project: str, host: Host, flows: SiteFlows, nets: Nets, others: Others) -> str:
    """The text of a host's table, for `nft -f`: it replaces itself in one transaction.

    `nets` are the services of this host; `others` the product's endpoints on other hosts, "address . port" by protocol,
    which containers reach by a flow and the host's own programs not at all.
    """
    ours, name = f'"{bridge_prefix(project)}*"', f"inet {table(project)}"
    blocks = [
        *(_map(protocol, host, flows, nets) for protocol in PROTOCOLS),
        _chain("raw", "type filter hook prerouting priority raw", [f"iifname {ours} jump sources"]),
        _block("chain sources", _own_sources(nets)),
        _chain("prerouting", "type nat hook prerouting priority dstnat - 10", [*_self_calls(host, flows, nets), *_dnat()]),
        _chain("output_nat", "type nat hook output priority -110", _dnat()),
        _chain("postrouting", "type nat hook postrouting priority srcnat - 10", _sources(ours, nets)),
        _chain("forward", "type filter hook forward priority filter - 5", _to_guard(ours, nets, others)),
        _block("chain guard", _guard(ours, host, flows, nets)),
        *(_block(f"chain {_from(service)}", _from_service(service, ours, flows, nets)) for service in nets),
        _block("chain pass", [f"meta mark set meta mark or {MARK} accept"]),
        _chain("input", "type filter hook input priority filter - 5", [f"iifname {ours} jump to_host"]),
        _block("chain to_host", _to_host()),
        _chain("output", "type filter hook output priority filter - 5", _output(ours, nets, others)),
        *(f"  counter {counter} {{ }}\n" for counter in COUNTERS),
    ]
    return f"table {name}\ndelete table {name}\ntable {name} {{\n" + "\n".join(blocks) + "}\n"


def _map(protocol: str, host: Host, flows: SiteFlows, nets: Nets) -> str:
    elements = sorted(set(_live(protocol, host, flows, nets)))
    lines = ["type ipv4_addr . inet_service : ipv4_addr . inet_service"]
    if elements:
        lines.append("elements = { " + ",\n      ".join(elements) + " }")
    return _block(f"map live_{protocol}", lines)


def _live(protocol: str, host: Host, flows: SiteFlows, nets: Nets) -> Iterator[str]:
    """Where a connection goes: to a host's own port or a service address -> to the container that is live."""
    for target, entry, to in _entries(host, flows, nets):
        if to.protocol == protocol:
            yield f"{entry} : {nets[target].container} . {to.port}"


def _entries(host: Host, flows: SiteFlows, nets: Nets) -> Iterator[tuple[str, str, Port]]:
    """(service, "address . port" by which it is called, its own port)."""
    for arriving in flows.arriving:
        yield arriving.target, f"{host.address} . {arriving.host_port}", arriving.port
    for local in flows.local:
        yield local.target, f"{nets[local.target].virtual} . {local.port.port}", local.port


def _own_sources(nets: Nets) -> list[str]:
    """Before anything is known of a connection: a service speaks for its own subnet only, and not in IPv6."""
    forged = (f'iifname "{net.bridge}" ip saddr != {net.subnet} counter name spoofed drop' for net in nets.values())
    return ["meta nfproto ipv6 drop", *forged]


def _self_calls(host: Host, flows: SiteFlows, nets: Nets) -> Iterator[str]:
    """A service that calls itself by its host is not led back to its own bridge, which would lose the packet without a word:
    it is refused like any other call of the host."""
    for protocol in PROTOCOLS:
        own: dict[str, set[str]] = {}
        for target, entry, to in _entries(host, flows, nets):
            if to.protocol == protocol:
                own.setdefault(target, set()).add(entry)
        for service, entries in sorted(own.items()):
            yield f'iifname "{nets[service].bridge}" ip daddr . {protocol} dport {{ {", ".join(sorted(entries))} }} accept'


def _dnat() -> list[str]:
    return [f"dnat ip to ip daddr . {protocol} dport map @live_{protocol}" for protocol in PROTOCOLS]


def _sources(ours: str, nets: Nets) -> list[str]:
    """Between services of one host a caller is its service address, since Docker 28 drops answers to a container's own;
    beyond the host it is the host."""
    own = ", ".join(f"{net.subnet} : {net.virtual}" for net in nets.values())
    return [
        f"ct status dnat oifname {ours} snat ip to ip saddr map {{ {own} }}",
        f"ip saddr {_subnets(nets)} oifname != {ours} masquerade",
    ]


def _subnets(nets: Nets) -> str:
    return "{ " + ", ".join(str(net.subnet) for net in nets.values()) + " }"


def _to_guard(ours: str, nets: Nets, others: Others) -> list[str]:
    """Before Docker has made a bridge, the map sends what arrives to where the default route leads: out of the house.
    Somebody else's container or virtual machine leaves by the host's own address, which is a caller elsewhere."""
    return [
        f"iifname {ours} jump guard",
        f"oifname {ours} jump guard",
        f"ip daddr {_subnets(nets)} oifname != {ours} counter name refused_in drop",
        *_elsewhere(f'meta iifkind "bridge" iifname != {ours} ct state new', others),
    ]


def _elsewhere(match: str, others: Others) -> Iterator[str]:
    """Refuse the product's services on other hosts."""
    for protocol in PROTOCOLS:
        if others.get(protocol):
            endpoints = f"ip daddr . {protocol} dport {{ {', '.join(sorted(others[protocol]))} }}"
            yield from _refuse(f"{match} {endpoints}", "refused_local")


def _refuse(match: str, counter: str) -> list[str]:
    """Tell the caller at once. A reset also ends an open connection, and no rate limit holds it back as it does ICMP."""
    said = f"counter name {counter} reject with"
    return [f"{match} meta l4proto tcp {said} tcp reset".strip(), f"{match} {said} icmpx admin-prohibited".strip()]


def _guard(ours: str, host: Host, flows: SiteFlows, nets: Nets) -> list[str]:
    """Answers pass; callers are held to their flows on every packet, so that a flow taken away ends at once.
    A service is told that it was refused, so that a mistake shows; an outsider hears nothing."""
    return [
        "meta nfproto ipv6 drop",
        "ct state related goto pass",
        "ct state established ct direction reply goto pass",
        *(f'iifname "{net.bridge}" jump {_from(service)}' for service, net in nets.items()),
        *_refuse(f"iifname {ours}", "refused_out"),
        *sorted({_arriving(host, flow, nets) for flow in flows.arriving}),
        "counter name refused_in drop",
    ]


def _from_service(service: str, ours: str, flows: SiteFlows, nets: Nets) -> list[str]:
    local = sorted({_local(flow, nets) for flow in flows.local if flow.source == service})
    leaving = sorted({_leaving(flow, ours) for flow in flows.leaving if flow.source == service})
    return [*local, *leaving]


def _local(flow: Local, nets: Nets) -> str:
    target = nets[flow.target]
    return (
        f'oifname "{target.bridge}" ct original ip daddr {target.virtual}'
        f" meta l4proto {flow.port.protocol} ct original proto-dst {flow.port.port} goto pass"
    )


def _leaving(flow: Leaving, ours: str) -> str:
    return f"oifname != {ours} ip daddr {flow.address} {flow.port.protocol} dport {flow.port.port} goto pass"


def _arriving(host: Host, flow: Arriving, nets: Nets) -> str:
    sources = "" if EVERYWHERE in flow.sources else f"ip saddr {{ {', '.join(sorted(flow.sources))} }} "
    return (
        f'{sources}oifname "{nets[flow.target].bridge}" ct original ip daddr {host.address}'
        f" meta l4proto {flow.port.protocol} ct original proto-dst {flow.host_port} goto pass"
    )


def _to_host() -> list[str]:
    return [
        "meta nfproto ipv6 drop",
        "ct state established,related accept",
        *_refuse("", "refused_host"),
    ]


def _output(ours: str, nets: Nets, others: Others) -> list[str]:
    """Programs of the host itself: to its own services by the map, to those on other hosts not at all."""
    return [
        f"meta mark and {MARK} == {MARK} accept",  # our own trials, see verify.ahead
        f"oifname {ours} meta nfproto ipv6 drop",
        f"oifname {ours} ct state established,related accept",
        f"oifname {ours} ct status dnat accept",
        *_refuse(f"oifname {ours}", "refused_local"),
        *_refuse(f'ip daddr {_subnets(nets)} oifname != {ours} oifname != "lo"', "refused_local"),
        *_elsewhere("ct state new", others),
    ]


def _from(service: str) -> str:
    """The chain of what a service may call. nft takes all that a service's name may have, after a letter."""
    return f"from_{service}"


def _chain(name: str, hook: str, rules: list[str]) -> str:
    return _block(f"chain {name}", [f"{hook}; policy accept;", *rules])


def _block(head: str, lines: list[str]) -> str:
    return f"  {head} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"
