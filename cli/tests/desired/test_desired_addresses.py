"""Addresses of containers: no two share anything, and a service keeps its own."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from sites import NAMES

from deployctl.desired.addresses import SLOTS, ServiceNet, bridge_prefix, networks

SERVICES = st.sets(NAMES, min_size=1, max_size=30)
POOLS = st.builds(lambda index, bits: IPv4Network(((10 << 24) + (index << 12), bits)), st.integers(0, 4095), st.just(20))


def addresses(net: ServiceNet) -> list[object]:
    """All that a service has for itself."""
    return [net.gateway, net.container, net.spare, net.oneshot, net.virtual]


@given(SERVICES, POOLS)
def test_no_two_services_share_a_subnet_or_an_address_and_all_lie_in_the_pool(services: set[str], pool: IPv4Network) -> None:
    nets = networks("shop", services, pool)
    assert nets.keys() == services
    assert not any(one.subnet.overlaps(other.subnet) for one, other in combinations(nets.values(), 2))
    used = [address for net in nets.values() for address in addresses(net)]
    assert len(set(used)) == len(used)
    assert all(address in pool for address in used)
    assert not any(net.virtual in other.subnet for net in nets.values() for other in nets.values())


@given(SERVICES, POOLS)
def test_the_containers_addresses_lie_in_its_subnet_and_are_neither_its_first_nor_its_last(
    services: set[str], pool: IPv4Network
) -> None:
    for net in networks("shop", services, pool).values():
        assert {net.gateway, net.container, net.spare, net.oneshot} < set(net.subnet.hosts())


@given(SERVICES)
def test_names_of_bridges_are_short_unlike_each_other_and_begin_as_the_rules_expect(services: set[str]) -> None:
    bridges = [net.bridge for net in networks("shop", services, IPv4Network("172.30.0.0/20")).values()]
    assert len(set(bridges)) == len(services)
    assert all(len(bridge) <= 15 and bridge.startswith(bridge_prefix("shop")) for bridge in bridges)
    assert all("/" not in bridge and not bridge.isspace() for bridge in bridges)


def test_names_that_are_nearly_the_same_have_bridges_of_their_own() -> None:
    pool, near = (
        IPv4Network("172.30.0.0/20"),
        ["a-b", "a_b", "a.b", "a-b--", "postgres", "postgres-exporter", "postgres_exporter"],
    )
    cut = networks("shop", near, pool)
    again = networks("shop", [*near, *(net.bridge.removeprefix(bridge_prefix("shop")) for net in cut.values())], pool)
    assert len({net.bridge for net in again.values()}) == len(again)
    assert cut["postgres"].bridge.startswith(f"{bridge_prefix('shop')}postg")


def test_the_name_of_a_bridge_tells_the_service() -> None:
    assert networks("shop", ["nginx"], IPv4Network("172.30.0.0/20"))["nginx"].bridge == f"{bridge_prefix('shop')}nginx"


@given(SERVICES, NAMES)
def test_the_order_of_services_does_not_matter_and_the_pool_moves_all_alike(services: set[str], project: str) -> None:
    here, there = IPv4Network("172.30.0.0/20"), IPv4Network("10.0.0.0/16")
    one = networks(project, sorted(services), here)
    assert one == networks(project, sorted(services, reverse=True), here)
    moved = int(there.network_address) - int(here.network_address)
    assert {n: int(net.container) + moved for n, net in one.items()} == {
        n: int(net.container) for n, net in networks(project, services, there).items()
    }


def test_another_service_moves_none_that_is_there() -> None:
    pool, before = IPv4Network("172.30.0.0/20"), ["api", "worker", "postgres", "redis", "nginx"]
    assert networks("shop", before, pool).items() <= networks("shop", [*before, "reports"], pool).items()


def test_a_full_pool_still_gives_each_its_own() -> None:
    nets = networks("shop", [f"s{number}" for number in range(SLOTS)], IPv4Network("172.30.0.0/20"))
    assert len({net.subnet for net in nets.values()}) == SLOTS
    assert len({net.virtual for net in nets.values()}) == SLOTS
