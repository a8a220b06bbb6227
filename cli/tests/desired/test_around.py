"""Addresses for containers: a product keeps those it has, and a new one takes some that nobody uses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import ONE, bare, release, site, sources

from deployctl.desired import Around, PoolOverlaps, around, desired, proposal
from deployctl.desired.addresses import SLOTS, TooManyServices
from deployctl.desired.answers import SettingUnknown
from deployctl.desired.around import choose_pool

NAMES = st.sampled_from(["one", "two", "three", "four"])


def network(project: str, *subnets: str) -> dict[str, Any]:
    return {"name": f"{project}_x", "project": project, "subnets": list(subnets)}


def chosen(*networks: dict[str, Any], routes: tuple[str, ...] = (), **client: Any) -> str:
    return str(choose_pool(site(ONE, **client), around({"srv1": bare(networks=list(networks), routes=list(routes))}, "shop")))


def test_the_first_product_has_the_first_part_and_keeps_it_whoever_comes() -> None:
    assert chosen() == "172.30.0.0/20"
    own = network("shop", "172.30.0.16/28", "172.30.4.0/28")
    assert chosen(own, network("books", "172.30.16.0/28")) == "172.30.0.0/20"
    assert chosen(network("shop", "172.30.32.0/28")) == "172.30.32.0/20"


def test_a_new_product_takes_the_first_part_that_nobody_uses() -> None:
    assert chosen(network("books", "172.30.0.16/28")) == "172.30.16.0/20"
    assert chosen(network("his", "172.30.0.0/18")) == "172.30.64.0/20"
    assert chosen(routes=("172.30.16.0/24", "172.30.0.0/24", "0.0.0.0/0")) == "172.30.32.0/20"


def test_the_pool_of_a_product_that_is_stopped_is_known_from_its_record() -> None:
    facts = {"srv1": bare(neighbours={"books": {"pool": "172.30.0.0/20", "answers": []}})}
    assert str(choose_pool(site(ONE), around(facts, "shop"))) == "172.30.16.0/20"


def test_what_client_yml_calls_somebody_s_is_left_out() -> None:
    assert chosen(networks={"clients": {"cidr": ["172.30.0.0/24"]}}) == "172.30.16.0/20"
    assert chosen(externals={"crm": {"address": "172.30.3.4"}}) == "172.30.16.0/20"
    assert chosen(segments={"server": {"cidr": "172.30.0.0/19"}}) == "172.30.32.0/20"
    with pytest.raises(PoolOverlaps, match=r"pool: 10.78.0.0/20 overlaps 10.78.10.0/24 \(segment server\)"):
        chosen(pool="10.78.0.0/20")


def test_a_product_s_own_pool_goes_before_the_one_for_all() -> None:
    where = site(ONE, products={"shop": {"pool": "172.29.0.0/20"}})
    assert str(choose_pool(where.of("shop"), Around())) == "172.29.0.0/20"
    assert str(choose_pool(where.of("books"), Around())) == "172.30.0.0/20"


def test_a_full_pool_is_left_to_preflight_and_what_is_proposed_is_free() -> None:
    assert chosen(network("his", "172.30.0.0/16")) == "172.30.0.0/20"
    facts = {"srv1": bare(networks=[network("his", "172.16.0.0/12")])}
    assert proposal(site(ONE), around(facts, "shop")) == "10.213.0.0/16"


@given(st.lists(NAMES, unique=True), NAMES)
def test_products_installed_one_after_the_other_never_share(before: list[str], newest: str) -> None:
    held: dict[str, str] = {}
    for name in [*before, newest]:
        others = {other: {"pool": pool, "answers": []} for other, pool in held.items() if other != name}
        there = bare(neighbours=others, networks=[network(other, pool) for other, pool in held.items()])
        pool = str(choose_pool(site(ONE), around({"srv1": there}, name)))
        assert held.get(name, pool) == pool
        held[name] = pool
    assert len(set(held.values())) == len(held)


def test_more_services_than_there_is_room_for_are_refused_in_words() -> None:
    many = release({f"s{number}": {} for number in range(SLOTS + 1)})
    with pytest.raises(TooManyServices, match="shop: 241 services; a product may have 240"):
        desired(many, site(ONE), sources(many))


def test_answers_of_another_product_are_no_mistake_and_those_of_none_are() -> None:
    shop, books = release({"api": {}}), frozenset({"COLOUR", "web"})
    said = {
        "settings": {"COLOUR": "red"},
        "place": {"web": "srv1"},
        "resources": {"web": {"cpus": 1}},
        "ports": {"web": {1: 2}},
    }
    assert desired(shop, site(ONE, **said), sources(shop), Around(answers=books)).hosts
    assert desired(shop, site(ONE, **said), sources(shop), Around(answers=None)).hosts
    with pytest.raises(SettingUnknown):
        desired(shop, site(ONE, **said), sources(shop), Around(answers=frozenset({"web"})))
    own = {"products": {"shop": {"settings": {"COLOUR": "red"}}}}
    with pytest.raises(SettingUnknown, match="products.shop.settings.COLOUR"):
        desired(shop, site(ONE, **own), sources(shop), Around(answers=books))
