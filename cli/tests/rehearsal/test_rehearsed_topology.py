"""From an inventory to networks and machines."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from deployctl.rehearsal import HostFlow, RehearsalImpossible, topology
from deployctl.rehearsal.naming import BRIDGE_LIMIT, bridge, bridge_prefix
from deployctl.site import ClientSettings, Host, Site

HOSTS = {
    "web1": ("10.77.10.11", "dmz"),
    "app1": ("10.77.20.11", "internal"),
    "deploy": ("10.77.40.10", "management"),
}


def site(hosts: dict[str, tuple[str, str]] = HOSTS, variables: dict[str, Any] | None = None, **client: Any) -> Site:
    made = {name: Host(name, address, segment, variables or {}) for name, (address, segment) in hosts.items()}
    return Site("acme", Path("/srv/inventories/acme"), made, ClientSettings.model_validate(client))


def test_each_segment_is_a_network_and_each_host_a_machine_at_its_own_address() -> None:
    plan = topology(site())
    assert [(network.name, str(network.cidr)) for network in plan.networks] == [
        ("dmz", "10.77.10.0/24"), ("internal", "10.77.20.0/24"), ("management", "10.77.40.0/24"),
    ]  # fmt: skip
    assert plan.machine("app1").address == IPv4Address("10.77.20.11")
    assert plan.machine("deploy").kind == "deploy"


def test_the_router_takes_addresses_that_no_machine_has() -> None:
    plan = topology(site({"web1": ("10.77.10.1", "dmz"), "web2": ("10.77.10.254", "dmz")}))
    assert (plan.networks[0].gateway, plan.networks[0].leg) == (IPv4Address("10.77.10.2"), IPv4Address("10.77.10.253"))


def test_networks_and_targets_outside_are_machines_too() -> None:
    plan = topology(site(networks={"clients": {"cidr": ["10.77.50.0/24"]}}, externals={"crm": {"address": "10.77.60.5"}}))
    assert plan.machine("clients").address == IPv4Address("10.77.50.10")
    assert (plan.machine("crm").network, plan.machine("crm").kind) == ("crm", "external")


def test_a_network_of_one_address_is_widened_to_have_room_for_a_router() -> None:
    plan = topology(site(networks={"auditor": {"cidr": ["10.77.50.9/32"]}}))
    assert plan.machine("auditor").address == IPv4Address("10.77.50.9")
    assert plan.networks[-1].cidr == IPv4Network("10.77.50.0/24")


def test_a_network_inside_a_segment_stands_in_that_segment() -> None:
    plan = topology(site(networks={"admins": {"cidr": ["10.77.40.128/28"]}}))
    assert plan.machine("admins").network == "management"
    assert plan.machine("admins").address in IPv4Network("10.77.40.128/28")


def test_the_whole_internet_is_not_rebuilt() -> None:
    assert len(topology(site(networks={"world": {"cidr": ["0.0.0.0/0"]}})).machines) == 3


def test_segments_that_share_a_network_become_one() -> None:
    plan = topology(site({"web1": ("10.1.1.1", "dmz"), "app1": ("10.1.1.2", "internal")}))
    assert [network.name for network in plan.networks] == ["dmz"]


@pytest.mark.parametrize(
    ("hosts", "client", "message"),
    [
        (HOSTS, {"segments": {"dmz": {"cidr": "10.77.0.0/16"}, "internal": {"cidr": "10.0.0.0/8"}}}, "they overlap"),
        ({"a": ("10.1.1.5", "x"), "b": ("10.1.1.5", "x")}, {}, "the same address"),
        ({"a": ("10.1.1.5", "x"), "b": ("10.1.2.5", "x")}, {}, 'lies in no network of segment "x"'),
        ({"router": ("10.1.1.5", "x")}, {}, '"router" is taken twice'),
    ],
)
def test_an_inventory_that_cannot_be_rebuilt_is_refused(hosts: dict[str, Any], client: dict[str, Any], message: str) -> None:
    with pytest.raises(RehearsalImpossible, match=message):
        topology(site(hosts, **client))


def test_ssh_from_the_deploy_nodes_network_is_always_permitted_at_the_inventorys_port() -> None:
    plan = topology(site(variables={"ansible_port": 2222}))
    assert plan.basic_flows[0] == HostFlow(("10.77.40.0/24",), ("10.77.10.11",), 2222)


def test_bridges_are_short_and_unlike_those_of_another_client() -> None:
    names = [bridge("acme", number, "a-very-long-segment") for number in range(12)]
    assert len(set(names)) == 12
    assert all(len(name) <= BRIDGE_LIMIT and name.startswith(bridge_prefix("acme")) for name in names)
    assert bridge_prefix("acme") != bridge_prefix("globex")
