"""The plan: nothing where all is as it shall be, and exactly what is missing elsewhere."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import ONE, bare, digest, image, installed, release, releases, site, sites, sources

from deploybundle.open import Image
from deploybundle.release import Release
from deployctl.desired import HASH_LABEL, Desired, desired
from deployctl.hosts.wire import wire
from deployctl.plan import CUT_OFF, EDITED, HostPlan, Plan, plan
from deployctl.site import Site

COMPOSE = "/etc/deployctl/shop/compose.yaml"
TABLE = "/etc/deployctl/network.d/shop.nft"
SHOP = release({"api": {"x": {"migrate": ["up"]}, "user": "1", "secrets": [{"source": "pw"}]}, "db": {}}, [("api", "db", 5432)])
SOURCES = sources(SHOP, pw="canary-5f2a")
SHALL = desired(SHOP, site(ONE), SOURCES)
THERE = installed(SHALL, SHALL.hosts["srv1"], SOURCES.images)
Facts = dict[str, Any]


def planned(facts: Facts, shall: Desired = SHALL, images: Any = SOURCES.images, index: str = "i") -> HostPlan:
    return plan(shall, {"srv1": facts}, images, "acme", "/b.tar", index).hosts["srv1"]


@settings(max_examples=25)
@given(releases(), sites())
def test_where_all_is_as_it_shall_be_there_is_nothing_to_do(given: Release, where: Site) -> None:
    shall, images = desired(given, where, sources(given)), sources(given).images
    steps = plan(shall, {name: installed(shall, host, images) for name, host in shall.hosts.items()}, images, "acme", "b", "i")
    assert (steps.changed, steps.size) == ({}, 0)


@settings(max_examples=25)
@given(releases(), sites())
def test_an_empty_host_gets_everything_once_and_in_the_order_of_the_waves(given: Release, where: Site) -> None:
    shall, images = desired(given, where, sources(given)), sources(given).images
    steps = plan(shall, {name: bare() for name in shall.hosts}, images, "acme", "b", "i")
    for name, host in shall.hosts.items():
        mine = steps.hosts[name]
        assert mine.first and mine.network and not mine.remove and not mine.stop
        assert mine.write == tuple(host.files)
        assert sorted(step.ref for step in mine.images) == sorted(set(host.refs))
        assert sum(mine.waves.values(), ()) == tuple(sorted(host.services, key=lambda one: (host.services[one].wave, one)))
        assert set(mine.services.values()) == {"new"}


RAW = {digest(raw): raw for raw in (b"a" * 700, b"b" * 3000, b"c" * 10)}
STACKS = st.lists(st.sampled_from(sorted(RAW)), min_size=1, max_size=4, unique=True)


def stacked(ref: str, ids: list[str]) -> Image:
    return image(ref, *(RAW[one] for one in ids))


@given(STACKS, STACKS, st.booleans())
def test_the_bytes_are_those_of_the_stream_and_the_layers_those_above_what_the_host_has(
    wanted: list[str], there: list[str], zstd: bool
) -> None:
    api, shared = stacked("shop/api:1", wanted), 0
    while shared < min(len(wanted), len(there)) and wanted[shared] == there[shared]:
        shared += 1
    facts = bare(images=[{"id": "x", "tags": ["other:1"], "diff_ids": there}])
    facts["docker"]["zstd_ok"] = zstd
    given = release({"api": {}})
    shall = desired(given, site(ONE), replace(sources(given), images={"shop/api:1": api}))
    (step,) = planned(facts, shall, {"shop/api:1": api}).images
    assert step.missing == tuple(range(shared, len(wanted)))
    size, stream = wire(api, step.missing, "zstd" if zstd else "raw", lambda name: io.BytesIO(RAW[name]), tag=step.tag)
    assert step.size == size == len(b"".join(stream))
    assert step.unpacked == sum(len(RAW[one]) for one in wanted[shared:])


def test_a_later_image_counts_on_the_layers_of_an_earlier_one() -> None:
    first, second = planned(bare()).images
    assert (first.missing, second.missing) == ((0, 1), (1,))


def test_containers_that_show_their_images_make_asking_for_images_needless() -> None:
    shown = [
        {**container, "named": container["image"], "image_id": SHALL.hosts["srv1"].services[container["service"]].config_digest}
        for container in THERE["containers"]
    ]
    facts = {key: value for key, value in THERE.items() if key != "images"} | {"containers": shown}
    assert planned(facts).images == ()
    untagged = [{**shown[0], "named": shown[0]["image_id"]}, *shown[1:]]
    assert len(planned({**facts, "containers": untagged, "images": []}).images) == 2


def changed(path: str, value: Any) -> Callable[[Facts], None]:
    """Set one fact, by its path: words between dots, numbers for places in lists; a slash begins a file's whole path."""

    def change(facts: Facts) -> None:
        at: Any = facts
        *way, last = path.split("|")
        for word in way:
            at = at[int(word) if isinstance(at, list) else word]
        at[last] = value

    return change


def took(path: str) -> Callable[[Facts], None]:
    return lambda facts: facts["files"].pop(path)


API, DB = (next(i for i, c in enumerate(THERE["containers"]) if c["service"] == name) for name in ("api", "db"))


@pytest.mark.parametrize(
    ("change", "does"),
    [
        (took(COMPOSE), {"write": (COMPOSE,)}),
        (changed(f"files|{COMPOSE}", None), {"write": (COMPOSE,)}),
        (changed(f"files|{COMPOSE}|mode", 0o644), {"write": (COMPOSE,)}),
        (changed(f"files|{COMPOSE}|uid", 1000), {"write": (COMPOSE,)}),
        (changed(f"files|{COMPOSE}|sha256", "0"), {"write": (COMPOSE,)}),
        (changed("files|/var/lib/deployctl/shop/secrets/api/..data|link", "..old"),
         {"write": ("/var/lib/deployctl/shop/secrets/api/..data",), "services": {"api": EDITED}, "waves": {1: ("api",)}}),
        (changed("files|/var/lib/deployctl/shop/secrets/api/..data", None),
         {"write": ("/var/lib/deployctl/shop/secrets/api/..data",)}),
        (changed("files|/etc/deployctl/shop/old.conf", {"sha256": "0"}), {"remove": ("/etc/deployctl/shop/old.conf",)}),
        (changed(f"files|{TABLE}|sha256", "0"), {"write": (TABLE,), "network": True}),
        (changed("network|loaded", False), {"network": True}),
        (changed(f"containers|{API}|state", "exited"), {"services": {"api": "is exited"}, "waves": {1: ("api",)}}),
        (changed(f"containers|{API}|service", "gone"), {"services": {"api": "new"}, "waves": {1: ("api",)}, "stop": ("gone",)}),
        (changed(f"containers|{API}|service", "api-migrate"), {"services": {"api": "new"}, "waves": {1: ("api",)}}),
        (changed(f"containers|{API}|networks", ["gone"]), {"services": {"api": CUT_OFF}, "waves": {1: ("api",)}}),
        (changed(f"containers|{DB}|labels|{HASH_LABEL}", "0"),
         {"services": {"db": "changed configuration"}, "waves": {0: ("db",)}}),
        (changed(f"containers|{DB}|labels", {}), {"services": {"db": "changed configuration"}, "waves": {0: ("db",)}}),
        (changed("record|services|api|config_digest", "sha256:0"), {"migrate": ((1, "api-migrate"),), "recorded": False}),
        (changed("record|client", "globex"), {"recorded": False}),
        (changed("record", None), {"migrate": ((1, "api-migrate"),), "recorded": False, "first": True}),
        (changed("record|epoch", 99), {}),
        (changed("images|0|tags", ["moved:1"]), {"images": 1}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_differs_is_put_right_and_nothing_else(change: Callable[[Facts], None], does: dict[str, Any]) -> None:
    facts = copy.deepcopy(THERE)
    change(facts)
    found = planned(facts)
    nothing = {
        "write": (), "remove": (), "network": False, "services": {}, "waves": {}, "stop": (), "migrate": (),
        "recorded": True, "first": False, "images": 0,
    }  # fmt: skip
    assert found.restart == tuple(name for name, reason in does.get("services", {}).items() if reason == EDITED)
    assert found.anew == tuple(name for name, reason in does.get("services", {}).items() if reason == CUT_OFF)
    assert {name: getattr(found, name) for name in nothing} | {"images": len(found.images)} == nothing | does
    assert found.changes == bool(does)


def test_a_tag_that_was_moved_by_hand_is_not_believed() -> None:
    facts = copy.deepcopy(THERE)
    facts["images"][API]["diff_ids"], facts["images"][DB]["diff_ids"] = ["sha256:1"], ["sha256:2"]
    assert {step.missing for step in planned(facts).images} == {(0, 1), (1,)}


def test_a_new_image_is_told_from_a_new_configuration() -> None:
    facts = copy.deepcopy(THERE)
    facts["containers"][API] |= {"image": "shop/api:0-0123456789abcdef", "labels": {HASH_LABEL: "old"}}
    assert planned(facts).services == {"api": "changed image"}


def test_another_bundle_of_the_same_content_is_only_recorded() -> None:
    found = planned(copy.deepcopy(THERE), index="another")
    assert (found.recorded, found.write, found.services, found.images) == (False, (), {}, ())


def test_data_are_migrated_once_for_the_site_even_if_another_host_is_the_new_one() -> None:
    two = site({"a": ("10.0.0.1", "x"), "b": ("10.0.0.2", "x")}, place={"api": "x", "db": "a"})
    shall = desired(SHOP, two, SOURCES)
    facts = {"a": installed(shall, shall.hosts["a"], SOURCES.images), "b": bare()}
    steps: Plan = plan(shall, facts, SOURCES.images, "acme", "b", "i")
    assert (steps.hosts["a"].migrate, steps.hosts["b"].migrate) == (((1, "api-migrate"),), ())


def test_no_secret_is_in_a_plan() -> None:
    assert "canary-5f2a" not in repr(planned(bare()))
