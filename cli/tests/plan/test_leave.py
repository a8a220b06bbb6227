"""Leaving a host: what of a product goes, and what stays for others, and for the client."""

from __future__ import annotations

import copy
from typing import Any

from sites import ONE, installed, release, site, sources

from deployctl.desired import desired
from deployctl.plan import Leave, leaving, owned, plan

SHOP = release({"api": {}, "db": {}}, [("api", "db", 5432)])
SOURCES = sources(SHOP)
SHALL = desired(SHOP, site(ONE), SOURCES)
VOLUMES = [{"name": "shop_data", "project": "shop"}, {"name": "his_data", "project": "his"}]
NETWORKS = [
    {"name": "shop_db", "project": "shop", "subnets": ["172.30.1.0/28"]},
    {"name": "his", "project": "his", "subnets": []},
]
THERE = installed(SHALL, SHALL.hosts["srv1"], SOURCES.images) | {"volumes": VOLUMES, "networks": NETWORKS, "projects": ["shop"]}
TAGS = sorted(service.tag for service in SHALL.hosts["srv1"].services.values())
UNIT = "/etc/systemd/system/deployctl-network.service"
Facts = dict[str, Any]


def left(delete: tuple[str, ...] = (), **changes: Any) -> Leave:
    leave = leaving("shop", {"srv1": {**copy.deepcopy(THERE), **changes}}, delete)["srv1"].leave
    assert leave is not None
    return leave


def test_the_last_product_takes_all_with_it_but_volumes_and_what_is_not_ours() -> None:
    leave = left()
    assert leave.last and UNIT in leave.shared and UNIT not in leave.files
    assert leave.services == ("api", "db") and leave.networks == ("shop_db",)
    assert list(leave.images) == TAGS
    assert (leave.volumes, leave.delete) == (("shop_data",), ())
    assert "/etc/deployctl/shop/compose.yaml" in leave.files


def test_another_product_keeps_what_they_share() -> None:
    leave = left(projects=["books", "shop"], neighbours={"books": {"images": [TAGS[0]]}})
    assert not leave.last and leave.shared == ()
    assert UNIT not in leave.files
    assert list(leave.images) == TAGS[1:]


def test_a_volume_goes_only_if_it_is_named() -> None:
    leave = left(("shop_data", "his_data"))
    assert (leave.volumes, leave.delete) == ((), ("shop_data",))


def test_what_a_failed_first_install_left_goes_too() -> None:
    leave = left(record=None, files={}, strangers=["/etc/deployctl/shop/compose.yaml"])
    assert leave.strangers == ("/etc/deployctl/shop/compose.yaml",)
    assert list(leave.images) == TAGS  # a tag of ours carries the digest of its image
    other = {"id": "sha256:" + "a" * 64, "tags": ["his/app:1-bbbbbbbbbbbbbbbb"], "diff_ids": []}
    assert list(left(images=[*THERE["images"], other]).images) == TAGS


def test_a_host_with_nothing_but_data_is_left_alone() -> None:
    bare = {"record": None, "files": {}, "containers": [], "networks": [], "projects": [], "strangers": [], "neighbours": {}}
    assert leaving("shop", {"srv1": {**THERE, **bare}}) == {}


def test_a_volume_that_is_named_later_goes_alone_though_the_removal_s_own_lock_lies_there() -> None:
    bare = {"record": None, "files": {}, "containers": [], "networks": [], "strangers": [], "neighbours": {}}
    for projects in ([], ["shop"], ["books", "shop"]):
        leave = left(("shop_data",), **bare, projects=projects, lying=[UNIT] if "books" in projects else [])
        assert (leave.delete, leave.volumes, leave.files, leave.shared, leave.last) == (("shop_data",), (), (), (), False)
    half = left(("shop_data",), **bare, projects=["shop"], lying=[UNIT])  # an interrupted removal: all of it goes on
    assert half.last and half.shared and half.delete == ("shop_data",)


def test_a_host_that_shall_have_nothing_any_more_is_planned_with_the_others() -> None:
    two = {**ONE, "srv2": ("10.78.10.12", "server")}
    moved = desired(SHOP, site(two, place={"api": "srv2", "db": "srv2"}), SOURCES)
    fresh = THERE | {"record": None, "containers": [], "images": [], "files": {}, "networks": [], "volumes": [], "projects": []}
    steps = plan(moved, {"srv1": THERE, "srv2": fresh}, SOURCES.images, "acme", "b", "i")
    assert set(steps.changed) == {"srv1", "srv2"} and set(steps.leaving) == {"srv1"}
    assert steps.hosts["srv1"].stop == ("api", "db") and not steps.hosts["srv1"].write
    assert steps.installed == ("1.0.0",)


def test_what_is_ours_is_told_with_why_and_whether_it_is_as_written() -> None:
    facts = copy.deepcopy(THERE) | {"strangers": ["/etc/deployctl/shop/mine"]}
    compose = "/etc/deployctl/shop/compose.yaml"
    facts["files"][compose] |= {"sha256": "0", "mode": 0o600}
    facts["files"][UNIT] = None
    found = {one.name: one for one in owned("srv1", "shop", facts)}
    assert found[compose].state == "changed: content, mode"
    assert (found[UNIT].state, found["/etc/deployctl/shop/mine"].state) == ("missing", "stranger")
    assert found["/etc/deployctl/README"].state == "as written"
    assert {found[name].kind for name in ("shop_db", "shop_data", TAGS[0], "inet deployctl_shop")} == {
        "network", "volume", "image", "table",
    }  # fmt: skip
    assert all(one.release == "1.0.0" and one.why != "ours" for one in found.values())


def test_what_an_unfinished_first_install_wrote_is_ours_and_is_all_that_a_removal_takes() -> None:
    table, readme = "/etc/deployctl/network.d/shop.nft", "/etc/deployctl/shop/README"
    there = {
        "record": None, "files": {}, "strangers": ["/etc/deployctl/shop/compose.yaml", readme],
        "lying": [UNIT, table, "/etc/deployctl/README"], "network": {"loaded": False},
    }  # fmt: skip
    found = {one.name: one for one in owned("srv1", "shop", copy.deepcopy(THERE) | there)}
    files = {name: one for name, one in found.items() if one.kind == "file"}
    assert files.keys() == {*there["strangers"], *there["lying"]}  # type: ignore[misc]
    assert {one.state for one in files.values()} == {"not in the record"}
    assert all("that did not end left it" in one.why and "ours" not in one.why for one in files.values())
    assert files.keys() <= {*left(**there).files, *left(**there).strangers, *left(**there).shared}
    assert {name for name, one in found.items() if one.kind == "image"} == set(TAGS)
    assert "inet deployctl_shop" not in found  # it was not loaded yet


def test_a_host_s_record_of_an_older_deployctl_is_not_compared() -> None:
    facts = copy.deepcopy(THERE)
    facts["record"]["files"] = {path: {} for path in facts["record"]["files"]}
    assert {one.state.partition(":")[0] for one in owned("srv1", "shop", facts) if one.kind == "file"} <= {
        "not compared",
        "there",
    }
