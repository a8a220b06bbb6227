"""A bundle taken in: the same bytes, each blob once, and let go when nobody needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from vendors import Vendor, noise

from deploybundle.errors import RefusedError
from deploybundle.open import Bundle, StoreDamaged, open_bundle, verify_blobs
from deploybundle.open.medium import Reading, read_at
from deploybundle.open.stored import BLOBS, blob_path
from deploybundle.store import NoRoom, Store, prune, take


def bytes_of(bundle: Bundle) -> bytes:
    with Reading(bundle.medium) as file:
        return read_at(file, 0, bundle.medium.size)


def blobs_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / BLOBS).iterdir()}


@pytest.fixture
def second(vendor: Vendor) -> Vendor:
    """The vendor with two releases, the second with another file."""
    vendor.build("one.bundle.tar")
    vendor.files["compose.yaml"].write_bytes(noise(9, 5000))
    vendor.meta["version"] = "2.0.0"
    vendor.build("two.bundle.tar")
    return vendor


def test_what_was_taken_in_is_the_same_bundle_byte_for_byte(built: Vendor, tmp_path: Path) -> None:
    bundle = built.open()
    taken = take(bundle, tmp_path / "store")
    again = open_bundle(taken.path, [built.signer.public])
    verify_blobs(again)
    assert bytes_of(again) == (built.home / "dist/collector.bundle.tar").read_bytes()
    assert again.index_digest == bundle.index_digest and again.images == bundle.images
    for image in again.images.values():
        with again.open_layer(image.layers[0]) as stream:
            assert len(stream.read()) == image.layers[0].raw_size


def test_a_blob_is_there_once_across_releases(second: Vendor, tmp_path: Path) -> None:
    first = take(second.open("one.bundle.tar"), tmp_path)
    other = take(second.open("two.bundle.tar"), tmp_path)
    assert other.kept > 0 and first.kept == 0
    assert blobs_in(tmp_path) == {
        blob.removeprefix("sha256:") for name in ("one", "two") for blob in second.open(f"{name}.bundle.tar").blobs
    }
    assert take(second.open("two.bundle.tar"), tmp_path).copied == 0


def test_prune_keeps_what_it_is_told_to_and_takes_the_rest(second: Vendor, tmp_path: Path) -> None:
    for name in ("one", "two"):
        take(second.open(f"{name}.bundle.tar"), tmp_path)
    keep = second.open("two.bundle.tar").index_digest
    before = blobs_in(tmp_path)
    told = prune(tmp_path, [keep], only_tell=True)
    assert blobs_in(tmp_path) == before
    assert prune(tmp_path, [keep]) == told
    assert told.freed > 0 and len(told.releases) == 1
    (left,) = tmp_path.glob("*.stored")
    verify_blobs(open_bundle(left, [second.signer.public]))
    assert prune(tmp_path, []).releases == (left.name,)
    assert blobs_in(tmp_path) == set()


def test_too_little_room_is_told_before_the_first_byte(built: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploybundle.store.taking.ROOM", 1 << 60)
    with pytest.raises(NoRoom, match="bytes free, .* needed"):
        take(built.open(), tmp_path)
    assert blobs_in(tmp_path) == set() and not list(tmp_path.glob("*.stored"))


def test_a_killed_run_leaves_nothing_that_counts(built: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.fsync, [3]

    def dying(file: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        real(file)

    monkeypatch.setattr(os, "fsync", dying)
    with pytest.raises(KeyboardInterrupt):
        take(built.open(), tmp_path)
    assert len([name for name in blobs_in(tmp_path) if not name.startswith(".")]) == 2
    assert not list(tmp_path.glob("*.stored"))
    taken = take(built.open(), tmp_path)
    assert taken.kept > 0
    verify_blobs(open_bundle(taken.path, [built.signer.public]))
    assert not [name for name in blobs_in(tmp_path) if name.startswith(".")]


def test_a_damaged_medium_brings_nothing_wrong_in(altered, built: Vendor, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    at = max(built.open().blobs.values(), key=lambda blob: blob.size).offset + 5

    def flip(data: bytearray) -> None:
        data[at] ^= 1

    with pytest.raises(RefusedError):
        take(open_bundle(altered(flip), [built.signer.public]), tmp_path / "store")
    assert not list((tmp_path / "store").glob("*.stored"))


@pytest.mark.parametrize("case", ["gone", "short", "other", "link", "recipe"])
def test_a_damaged_store_is_refused(built: Vendor, tmp_path: Path, case: str) -> None:
    bundle = built.open()
    taken = take(bundle, tmp_path)
    blob = blob_path(tmp_path, max(bundle.blobs, key=lambda name: bundle.blobs[name].size))
    good = blob.read_bytes()
    if case == "recipe":
        taken.path.write_text("{}")
    elif case != "gone":
        blob.write_bytes({"short": good[:-1], "other": good[:-1] + bytes([good[-1] ^ 1]), "link": good}[case])
    if case in ("gone", "link"):
        blob.rename(tmp_path / "else")
    if case == "link":
        blob.symlink_to(tmp_path / "else")
    with pytest.raises((StoreDamaged, RefusedError)):
        verify_blobs(open_bundle(taken.path, [built.signer.public]))


def test_the_list_names_what_was_taken_in(built: Vendor, tmp_path: Path) -> None:
    store = Store(tmp_path)
    taken = take(built.open(), tmp_path)
    store.admit(open_bundle(taken.path, [built.signer.public]))
    assert store.newest() == taken.path
