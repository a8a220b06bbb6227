"""What prune keeps, and what a receipt says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memory_images import digest, layer
from vendors import make_vendor, noise

from deploybundle.store import Held, Store, prune
from deployctl.commands.prune import kept, needed


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


def test_prune_keeps_what_a_delta_counts_on_and_the_layers_that_were_made_of_its_patches(tmp_path: Path) -> None:
    vendor, store = make_vendor(tmp_path), Store(tmp_path / "site")
    old, new = noise(5, 90_000), noise(5, 60_000) + noise(6, 9000)
    vendor.source.images = {"collector/app:1": [layer({"lib": old})]}
    vendor.build("old.bundle.tar")
    vendor.source.images = {"collector/app:2": [layer({"lib": new})]}
    vendor.build("new.delta.tar", since=[vendor.open("old.bundle.tar")])
    before, delta = vendor.open("old.bundle.tar"), vendor.open("new.delta.tar")
    store.admit(before)
    assert store.complete(delta)
    store.admit(delta)
    keep, layers = needed(store, {delta.index_digest})
    assert keep == {delta.index_digest, before.index_digest}
    assert digest(layer({"lib": new})) in layers
    assert prune(tmp_path / "store", keep, rebuilt=store.layers, layers=layers).freed == 0
    keep, layers = needed(store, {before.index_digest})
    assert keep == {before.index_digest}
    assert prune(tmp_path / "store", keep, rebuilt=store.layers, layers=layers).blobs == 1
    assert list(store.layers.iterdir()) == []
