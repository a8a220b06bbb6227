"""The rules of the router and of the guard around it."""

import json
from ipaddress import IPv4Network

from deployctl.rehearsal import Count, HostFlow, Seen
from deployctl.rehearsal.firewall import guard_rules, read_counts, router_rules

KNOWN = [IPv4Network("10.77.10.0/24"), IPv4Network("10.77.20.0/24")]


def test_a_flow_is_one_rule_and_the_rest_is_dropped_and_counted() -> None:
    rules = router_rules(KNOWN, [HostFlow(("10.77.10.11/32", "10.77.10.12/32"), ("10.77.20.11",), 8000)])
    assert "ip saddr { 10.77.10.11/32, 10.77.10.12/32 } ip daddr { 10.77.20.11 } tcp dport 8000 accept" in rules
    assert rules.rstrip().endswith("counter name dropped drop\n  }\n}")


def test_from_anywhere_is_no_match_on_the_source() -> None:
    rules = router_rules(KNOWN, [HostFlow(("0.0.0.0/0",), ("10.77.20.11",), 53, "udp")])
    assert "    ip daddr { 10.77.20.11 } udp dport 53 accept" in rules


def test_the_same_flow_twice_is_one_rule() -> None:
    flow = HostFlow(("10.77.10.0/24",), ("10.77.20.11",), 22)
    assert router_rules(KNOWN, [flow, flow]).count("dport 22") == 1


def test_loading_the_rules_again_keeps_counters_and_injected_faults() -> None:
    rules = router_rules(KNOWN, [])
    assert "delete table" not in rules
    assert "flush chain inet rehearsal forward" in rules
    assert "flush chain inet rehearsal fault" not in rules


def test_every_known_network_is_inside() -> None:
    assert "elements = { 10.77.10.0/24, 10.77.20.0/24, " in router_rules(KNOWN, [])


def test_counts_are_read_from_what_nft_lists() -> None:
    packet = {"concat": ["10.77.20.11", "8.8.8.8", 17, 53]}
    listing = [
        {"counter": {"name": "dropped", "packets": 3}},
        {"counter": {"name": "leak", "packets": 1}},
        {"set": {"name": "known", "elem": [{"prefix": {"addr": "10.77.10.0", "len": 24}}]}},
        {"set": {"name": "dropped_packets"}},
        {"set": {"name": "leak_packets", "elem": [packet, {"elem": {"val": packet, "expires": 3}}]}},
    ]
    seen = Seen("10.77.20.11", "8.8.8.8", "udp", 53)
    assert read_counts(json.dumps({"nftables": listing})) == Count(3, 1, (), (seen, seen))


def test_the_guard_matches_this_clients_bridges_only() -> None:
    acme, globex = guard_rules("acme"), guard_rules("globex")
    assert acme.split()[2] != globex.split()[2]
    assert acme.count("drop") == 3
