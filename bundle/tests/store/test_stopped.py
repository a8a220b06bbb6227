"""Ctrl-C, kill -9, a full disk while a bundle is built, taken in or let go: nothing half counts, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from stopping import fill, small_disk, stopped_at
from vendors import Vendor, noise

from deploybundle.open import Bundle, open_bundle, verify_blobs
from deploybundle.open.stored import BLOBS
from deploybundle.pack.problems import NoSpace
from deploybundle.store import NoRoom, Store, prune, take

SIGNALS = {"kill -9": signal.SIGKILL, "Ctrl-C": signal.SIGINT}
root = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is root's to mount")


@pytest.fixture
def two(vendor: Vendor) -> list[Bundle]:
    """Two releases."""
    vendor.build("one.bundle.tar")
    vendor.files["compose.yaml"].write_bytes(noise(9, 5000))
    vendor.meta["version"] = "2.0.0"
    vendor.build("two.bundle.tar")
    return [vendor.open("one.bundle.tar"), vendor.open("two.bundle.tar")]


def whole(vendor: Vendor, folder: Path, pattern: str) -> int:
    """Every bundle that is there under a name that counts is whole. How many."""
    found = list(folder.glob(pattern))
    for path in found:
        verify_blobs(open_bundle(path, [vendor.signer.public]))
    return len(found)


def each_step(signum: int, below: Path, work: Callable[[], object], check: Callable[[], object]) -> int:
    """Stop the work at its first step, at its second, and so on, and check; until it ends by itself."""
    step = 1
    while stopped_at(step, signum, below, work):
        check()
        step += 1
        assert step < 2000
    return step


@pytest.mark.parametrize("split", [None, 20_000], ids=["one file", "parts"])
@pytest.mark.parametrize("how", SIGNALS)
def test_a_build_that_was_stopped_left_nothing_that_counts(vendor: Vendor, how: str, split: int | None) -> None:
    dist = vendor.home / "dist"
    dist.mkdir()
    name = "collector.bundle.tar" + (".parts" if split else "")

    def check() -> None:
        whole(vendor, dist, f"*{name}")
        left = [path for path in dist.iterdir() if path.name != name]
        assert split or all(path.name == f"{name}.partial" for path in left), left
        assert split or how == "kill -9" or not sum(path.stat().st_size for path in left), "Ctrl-C leaves an empty file at most"
        vendor.build(name, split=split)
        assert whole(vendor, dist, f"*{name}") == 1
        shutil.rmtree(dist)
        dist.mkdir()

    assert each_step(SIGNALS[how], dist, lambda: vendor.build(name, split=split), check) > 10


@pytest.mark.parametrize("how", SIGNALS)
def test_taking_in_that_was_stopped_goes_on(vendor: Vendor, two: list[Bundle], tmp_path: Path, how: str) -> None:
    store = tmp_path / "store"

    def work() -> None:
        for bundle in two:
            take(bundle, store)

    steps = each_step(SIGNALS[how], store, work, lambda: whole(vendor, store, "*.stored"))
    assert steps > 10, "each run went on where the last one was stopped, and one came to the end"
    assert whole(vendor, store, "*.stored") == 2
    named = {blob.removeprefix("sha256:") for bundle in two for blob in bundle.blobs}
    assert {path.name for path in (store / BLOBS).iterdir()} == named


@pytest.mark.parametrize("how", SIGNALS)
def test_letting_go_that_was_stopped_takes_nothing_that_is_needed(
    vendor: Vendor, two: list[Bundle], tmp_path: Path, how: str
) -> None:
    store, keep = tmp_path / "store", [two[1].index_digest]

    def again() -> None:
        for bundle in two:
            take(bundle, store)

    def check() -> None:
        whole(vendor, store, "*.stored")
        prune(store, keep)
        assert whole(vendor, store, "*.stored") == 1
        assert {path.name for path in (store / BLOBS).iterdir()} == {blob.removeprefix("sha256:") for blob in two[1].blobs}
        again()

    again()
    assert each_step(SIGNALS[how], store, lambda: prune(store, keep), check) > 3


@root
@pytest.mark.parametrize("size", [4096, 20_480, 61_440])
@pytest.mark.parametrize("split", [None, 20_000], ids=["one file", "parts"])
def test_a_build_on_a_full_disk_leaves_nothing(vendor: Vendor, size: int, split: int | None) -> None:
    name = "collector.bundle.tar" + (".parts" if split else "")
    with small_disk(vendor.home / "dist", size) as dist:
        with pytest.raises(NoSpace, match="the disk is full"):
            vendor.build(name, split=split)
        assert list(dist.iterdir()) == []
    vendor.build(name, split=split)
    assert whole(vendor, vendor.home / "dist", name) == 1


@root
def test_a_disk_that_somebody_fills_while_a_bundle_is_taken_in(
    vendor: Vendor, two: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploybundle.store.taking._check_room", lambda *_: None)  # there was room when it looked
    for size in range(8192, 90_000, 8192):
        with small_disk(tmp_path / "store", size) as store:
            with pytest.raises(NoRoom, match="meanwhile"):
                for bundle in two:
                    take(bundle, store)
            assert whole(vendor, store, "*.stored") < 2
            assert not [path for path in store.rglob("*") if "partial" in path.name]


@root
def test_prune_works_on_a_full_disk_and_makes_room(vendor: Vendor, two: list[Bundle], tmp_path: Path) -> None:
    with small_disk(tmp_path / "site", 400_000) as site:
        store, folder = Store(site), site / "store"
        for bundle in two:
            taken = _taken(bundle, folder)
            store.admit(open_bundle(taken, [vendor.signer.public]))
        layers = store.layers
        layers.mkdir()
        (layers / f"{'a' * 64}.{'b' * 64}.zst").write_bytes(bytes(8192))
        (layers / f"{'c' * 64}.{'d' * 64}.zst").write_bytes(bytes(8192))
        fill(site)
        assert shutil.disk_usage(site).free == 0
        done = prune(folder, [two[1].index_digest], rebuilt=layers, layers={"sha256:" + "c" * 64})
        store.forget_missing()
        assert done.freed > 8192 and [path.name[0] for path in layers.iterdir()] == ["c"]
        assert whole(vendor, folder, "*.stored") == 1
        assert [held.version for held in store.list()] == ["2.0.0"]


def _taken(bundle: Bundle, folder: Path) -> Path:
    """On a disk that is smaller than the reserve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deploybundle.store.taking.ROOM", 0)
        return take(bundle, folder).path
