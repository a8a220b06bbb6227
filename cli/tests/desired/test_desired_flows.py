"""Flows spread over hosts, and the connections that prove them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from sites import ONE, release, releases, site, sites, sources

from deploybundle.release import Port, Release
from deployctl.desired import desired
from deployctl.desired.addresses import networks
from deployctl.desired.flows import Arriving, Leaving, Local, site_flows
from deployctl.desired.placement import placement
from deployctl.site import Site

TWO = {"a": ("10.0.0.1", "x"), "b": ("10.0.0.2", "x"), "deploy": ("10.0.9.1", "management")}
OUTSIDE = {"networks": {"clients": {"cidr": ["10.9.0.0/24", "10.8.0.0/24"]}}, "externals": {"crm": {"address": "10.7.0.5"}}}
PAIR = release({"api": {}, "db": {}}, [("clients", "api", 80), ("api", "db", 5432), ("db", "crm", 443)])


def test_a_flow_on_one_host_is_local_and_needs_no_host_port() -> None:
    where = site(ONE, **OUTSIDE)
    flows = site_flows(PAIR, where, placement(PAIR, where))
    assert flows.local == (Local("srv1", "api", "db", Port(5432)),)
    assert flows.arriving == (Arriving("srv1", ("10.9.0.0/24", "10.8.0.0/24"), "clients", "api", Port(80), 80),)
    assert flows.leaving == (Leaving("srv1", "db", "crm", "crm", "10.7.0.5", Port(443)),)


def test_a_flow_between_services_of_several_hosts_goes_both_ways_round() -> None:
    where = site(TWO, place={"api": "x", "db": "x"}, ports={"db": {5432: 15432}}, **OUTSIDE)
    flows = site_flows(PAIR, where, placement(PAIR, where)).of("a")
    assert Local("a", "api", "db", Port(5432)) in flows.local
    assert Leaving("a", "api", "db", "b", "10.0.0.2", Port(15432)) in flows.leaving
    assert Arriving("a", ("10.0.0.2/32",), "api", "db", Port(5432), 15432) in flows.arriving


def test_the_client_s_port_comes_before_compose_s() -> None:
    published = replace(PAIR.services["api"], published={Port(80): 8080})
    given = replace(PAIR, services={**PAIR.services, "api": published})
    for client, wanted in (({}, 8080), ({"ports": {"api": {80: 443}}}, 443)):
        where = site(ONE, **OUTSIDE, **client)
        assert site_flows(given, where, placement(given, where)).arriving[0].host_port == wanted
        assert desired(given, where, sources(given)).entrances == (f"10.78.10.11:{wanted}",)


@given(releases(), sites())
def test_each_flow_is_tried_from_every_host_of_its_caller_and_promised_open(given: Release, where: Site) -> None:
    placed = placement(given, where)
    shall = desired(given, where, sources(given))
    for flow in given.flows:
        for host in placed.get(flow.source, ()):
            probes = [
                p for p in shall.hosts[host.name].probes if (p.source, p.target, p.open) == (flow.source, flow.target, True)
            ]
            assert len(probes) == len(placed.get(flow.target, [None]))


@given(releases(), sites())
def test_every_pair_that_is_no_flow_is_tried_and_promised_shut(given: Release, where: Site) -> None:
    placed = placement(given, where)
    shall = desired(given, where, sources(given))
    pairs = {(flow.source, flow.target, flow.port) for flow in given.flows}
    for source, hosts in placed.items():
        for host in hosts:
            own = [p for p in shall.hosts[host.name].probes if p.source == source]
            shut = {(p.address, p.port, p.protocol) for p in own if not p.open}
            opened = {(p.address, p.port, p.protocol) for p in own if p.open}
            assert not shut & opened
            assert {(other.address, 22, "tcp") for other in where.hosts.values()} <= shut
            assert {("192.0.2.1", 443, "tcp"), ("192.0.2.1", 53, "udp")} <= shut
            for target, service in given.services.items():
                ways = {(o.address, port.port, way) for o in placed[target] for port in service.ports for way in ("tcp", "udp")}
                assert ways <= shut | opened
                if not {(source, target, port.port) for port in service.ports} & pairs:
                    assert ways <= shut


@given(releases(), sites())
def test_ids_of_probes_differ_on_a_host(given: Release, where: Site) -> None:
    for host in desired(given, where, sources(given)).hosts.values():
        assert len({probe.id for probe in host.probes}) == len(host.probes)


def test_udp_is_tried_where_it_is_a_flow_and_where_only_tcp_is() -> None:
    given = release({"api": {}, "dns": {}}, [("api", "dns", 53, "udp"), ("dns", "api", 80)])  # type: ignore[list-item]
    shall = desired(given, site(ONE), sources(given)).hosts["srv1"]
    net = networks("shop", given.services, site(ONE).client.pool)
    tried = {(p.source, p.address, p.port, p.protocol): p.open for p in shall.probes}
    assert tried["api", str(net["dns"].virtual), 53, "udp"] and not tried["api", str(net["dns"].virtual), 53, "tcp"]
    assert tried["dns", str(net["api"].virtual), 80, "tcp"] and not tried["dns", str(net["api"].virtual), 80, "udp"]
    assert not tried["api", str(net["dns"].container), 53, "udp"]


def test_a_hosts_own_programs_reach_what_it_runs_and_nothing_elsewhere_nor_past_the_map() -> None:
    given = release({"web": {"x": {"segment": "dmz"}}, "db": {"x": {"segment": "data"}}},
                    [("clients", "web", 80), ("web", "db", 5432)])  # fmt: skip
    shall = desired(given, site(networks={"clients": {"cidr": ["10.77.50.0/24"]}}), sources(given)).hosts
    own = {(p.target, p.address, p.port): p.open for p in shall["db1"].probes if p.source is None}
    net = networks("shop", given.services, site().client.pool)
    assert own == {
        ("db", "10.77.30.11", 5432): True, ("db", str(net["db"].container), 5432): False, ("web", "10.77.10.11", 80): False,
    }  # fmt: skip
