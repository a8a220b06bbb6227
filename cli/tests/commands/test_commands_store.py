"""What prune keeps, and what a receipt says."""

from __future__ import annotations

from typing import Any

from deploybundle.store import Held
from deployctl.commands.prune import kept


def held(*versions: str, name: str = "shop") -> list[Held]:
    return [Held(f"/store/{name}-{version}", f"sha256:{name}{version}", name, version) for version in versions]


def record(version: str, previous: str | None = None, name: str = "shop") -> dict[str, Any]:
    before = {"version": previous, "index": f"sha256:{name}{previous}"} if previous else None
    return {"project": name, "release": {"version": version, "index": f"sha256:{name}{version}"}, "previous": before}


def versions(found: set[str]) -> set[str]:
    return {digest.removeprefix("sha256:shop") for digest in found}


def test_what_runs_the_way_back_and_what_is_newer_are_kept() -> None:
    found = kept(held("1.0.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0"), [record("1.3.0", "1.1.0")])
    assert versions(set(found)) == {"1.3.0", "1.1.0", "2.0.0"}


def test_a_site_half_way_through_an_upgrade_keeps_both_and_their_ways_back() -> None:
    found = kept(held("1.0.0", "1.1.0", "1.2.0"), [record("1.1.0", "1.0.0"), record("1.2.0", "1.1.0")])
    assert versions(set(found)) == {"1.0.0", "1.1.0", "1.2.0"}


def test_of_a_product_that_runs_nowhere_the_last_one_is_kept() -> None:
    found = set(kept([*held("1.0.0", "1.1.0"), *held("7", "8", name="other")], [record("1.1.0")]))
    assert found == {"sha256:shop1.1.0", "sha256:other8"}
