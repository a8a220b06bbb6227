"""The two firewalls as text: the router's, which the client would have, and the guard around the whole rehearsal. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Literal

from deployctl.rehearsal import naming

TABLE = "rehearsal"
MAX_PACKETS_LISTED = 4096
PROTOCOLS = {"6": "tcp", "17": "udp"}


@dataclass(frozen=True)
class HostFlow:
    """One permitted connection as a firewall between segments sees it: from addresses to addresses and a port."""

    source_cidrs: tuple[str, ...]
    target_cidrs: tuple[str, ...]
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True)
class Seen:
    """Packets of one kind that the router stopped."""

    source: str
    target: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Count:
    """What the router stopped since it was made: `dropped` between known networks, `leak` to anywhere outside them."""

    dropped: int
    leak: int
    dropped_packets: tuple[Seen, ...]
    leak_packets: tuple[Seen, ...]


def router_rules(known: Iterable[IPv4Network], flows: Sequence[HostFlow]) -> str:
    """The router's ruleset. It can be loaded over itself: counters and injected faults stay, the rest is replaced at once.

    A packet to an address outside all `known` networks is counted as a leak before routing, since the blackhole route
    would end it unseen.
    """
    cidrs = ", ".join(str(cidr) for cidr in known)
    rules = "\n".join(f"    {rule}" for rule in dict.fromkeys(_accept(flow) for flow in flows))
    return _ROUTER.format(table=TABLE, cidrs=cidrs, rules=rules, size=MAX_PACKETS_LISTED)


def _accept(flow: HostFlow) -> str:
    source, target = _match("saddr", flow.source_cidrs), _match("daddr", flow.target_cidrs)
    return f"{source}{target}{flow.protocol} dport {flow.port} accept"


def _match(side: str, cidrs: Sequence[str]) -> str:
    """A match on addresses; none where any address will do."""
    if any(IPv4Network(cidr).prefixlen == 0 for cidr in cidrs):
        return ""
    return f"ip {side} {{ {', '.join(sorted(set(cidrs)))} }} "


_ROUTER = """\
table inet {table} {{
  counter dropped {{ }}
  counter leak {{ }}
  set known {{ type ipv4_addr; flags interval; auto-merge; }}
  set dropped_packets {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service; size {size}; flags dynamic; }}
  set leak_packets {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service; size {size}; flags dynamic; }}
  chain fault {{ }}
  chain before {{ type filter hook prerouting priority -300; policy accept; }}
  chain input {{ type filter hook input priority 0; policy drop; }}
  chain forward {{ type filter hook forward priority 0; policy drop; }}
}}
flush set inet {table} known
flush chain inet {table} before
flush chain inet {table} input
flush chain inet {table} forward
table inet {table} {{
  set known {{
    type ipv4_addr; flags interval; auto-merge
    elements = {{ {cidrs}, 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 }}
  }}
  chain before {{
    ip daddr @known accept
    meta l4proto {{ tcp, udp }} update @leak_packets {{ ip saddr . ip daddr . meta l4proto . th dport }}
    meta nfproto ipv4 counter name leak drop
  }}
  chain input {{
    ct state established,related accept
    icmp type echo-request accept
    iif lo accept
    meta l4proto {{ tcp, udp }} th dport 53 reject
  }}
  chain forward {{
    jump fault
    ct state established,related accept
{rules}
    meta l4proto {{ tcp, udp }} update @dropped_packets {{ ip saddr . ip daddr . meta l4proto . th dport }}
    counter name dropped drop
  }}
}}
"""


def read_counts(listing: str) -> Count:
    """What `nft --json list table inet rehearsal` of the router says."""
    content: list[dict[str, Any]] = json.loads(listing)["nftables"]
    packets = {item["counter"]["name"]: int(item["counter"]["packets"]) for item in content if "counter" in item}
    sets = {item["set"]["name"]: item["set"] for item in content if "set" in item}
    return Count(packets["dropped"], packets["leak"], _seen(sets["dropped_packets"]), _seen(sets["leak_packets"]))


def _seen(listed: dict[str, Any]) -> tuple[Seen, ...]:
    """The elements of a set of concatenations; an element with a counter or a timeout is wrapped once more."""
    found = []
    for element in listed.get("elem", []):
        bare = element["elem"]["val"] if "elem" in element else element
        source, target, protocol, port = bare["concat"]
        found.append(Seen(source, target, PROTOCOLS.get(str(protocol), str(protocol)), int(port)))
    return tuple(sorted(found, key=lambda seen: (seen.source, seen.target, seen.port)))


def guard_rules(client: str) -> str:
    """The table on the machine itself: nothing of the rehearsal talks to it, or through it to anywhere else.

    Docker isolates networks by address; a root user in a guest who forges an ARP entry for the bridge gets past that.
    """
    table, bridges = naming.guard_table(client), f'"{naming.bridge_prefix(client)}*"'
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
  comment "deployctl rehearsal of {client}"
  chain fault {{ }}
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname {bridges} drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    jump fault
    iifname {bridges} oifname != {bridges} drop
    oifname {bridges} iifname != {bridges} drop
  }}
}}
"""
