"""Deltas: only what a site lacks, changed layers as patches; made whole again at the site, or refused beforehand."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_images import layer
from vendors import APP, BASE, Vendor, noise

from deploybundle import trust
from deploybundle.errors import DeployctlError, RefusedError
from deploybundle.open import (
    BaseMissing,
    BlobDamaged,
    Bundle,
    BundleDamaged,
    Holds,
    LayerPending,
    Receipt,
    ReceiptInvalid,
    media,
    open_bundle,
    verify_blobs,
    write_receipt,
)  # fmt: skip
from deploybundle.open.patch import HEAD, apply
from deploybundle.open.tar import END, header, padding
from deploybundle.pack.make import bases_of
from deploybundle.pack.problems import BaseNotHere
from deploybundle.store import Store
from deploybundle.store.rebuild import StoreFull

FILES = {f"venv/{n}.py": noise(n, 3000) for n in range(60)}
OLD = layer({**FILES, "venv/lib.so": noise(99, 200_000)})
CHANGED = noise(99, 200_000)[:150_000] + noise(98, 10)
NEW = layer({**FILES, "venv/7.py": b"changed" + FILES["venv/7.py"], "venv/lib.so": CHANGED})


@pytest.fixture
def released(vendor: Vendor) -> Vendor:
    """1.0.0 in old/; then 1.1.0 with one changed layer and one changed file."""
    vendor.source.images = {"collector/nginx:1": [BASE], "collector/app:1.0.0": [BASE, OLD, APP]}
    vendor.build("old.bundle.tar")
    vendor.source.images = {"collector/nginx:1": [BASE], "collector/app:1.1.0": [BASE, NEW, APP]}
    vendor.meta = {**vendor.meta, "version": "1.1.0"}
    vendor.files["compose.yaml"].write_text("# changed\n")
    vendor.build("new.delta.tar", since=[vendor.open("old.bundle.tar")])
    return vendor


def site(vendor: Vendor, folder: Path) -> tuple[Store, Callable[[], Bundle]]:
    """A store elsewhere that holds 1.0.0, and how it opens the delta."""
    store = Store(folder / "store")
    store.admit(vendor.open("old.bundle.tar"))
    moved = folder / "medium" / "new.delta.tar"
    moved.parent.mkdir(exist_ok=True)
    moved.write_bytes((vendor.home / "dist/new.delta.tar").read_bytes())
    return store, lambda: open_bundle(moved, [vendor.signer.public], around=store.around())


def test_a_delta_is_small_and_its_index_is_that_of_the_whole(released: Vendor) -> None:
    delta = released.open("new.delta.tar")
    whole = released.build("new.bundle.tar")
    assert delta.index_digest == whole.index_digest
    assert delta.size < 10_000 < 300_000 < whole.size
    assert delta.delta and [each.release for each in delta.delta.since] == ["collector 1.0.0"]


def test_at_the_site_it_is_made_whole(released: Vendor, tmp_path: Path) -> None:
    store, opened = site(released, tmp_path)
    assert len(opened().pending) == 1
    verify_blobs(opened())
    assert store.complete(opened())
    bundle = opened()
    assert not bundle.pending and not store.complete(bundle)
    verify_blobs(bundle)
    layers = [bundle.open_layer(one).read() for one in bundle.images["collector/app:1.1.0"].layers]
    assert layers == [BASE, NEW, APP]
    assert bundle.read(bundle.files["compose.yaml"].digest) == b"# changed\n"
    assert [path.suffix for path in (store.folder / "layers").iterdir()] == [".zst"]


def test_a_delta_upon_a_delta(released: Vendor, tmp_path: Path) -> None:
    newer = layer({**FILES, "venv/9.py": b"again" + FILES["venv/9.py"], "venv/lib.so": noise(99, 200_000)})
    store, opened = site(released, tmp_path)
    store.complete(opened())
    store.admit(opened())
    released.build("new.bundle.tar")
    released.source.images["collector/app:1.2.0"] = [BASE, newer, APP]
    released.meta = {**released.meta, "version": "1.2.0"}
    path = released.build("third.delta.tar", since=[released.open("new.bundle.tar")]).path
    (released.home / "dist/new.bundle.tar").unlink()
    third = open_bundle(path, [released.signer.public], around=store.around())
    store.complete(third)
    third = open_bundle(path, [released.signer.public], around=store.around())
    assert third.open_layer(third.images["collector/app:1.2.0"].layers[1]).read() == newer


def test_without_its_base_nothing_is_done_and_the_base_is_named(released: Vendor, tmp_path: Path) -> None:
    old = released.open("old.bundle.tar")
    store, opened = site(released, tmp_path)
    old.path.rename(tmp_path / "away")
    with pytest.raises(BaseMissing) as caught:
        opened()
    assert f"collector 1.0.0 (index {old.index_digest}), which is not here" in caught.value.message
    assert not (store.folder / "layers").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is root's to mount")
def test_a_store_that_is_full_is_told_and_holds_nothing_half(released: Vendor, tmp_path: Path) -> None:
    store, opened = site(released, tmp_path)
    layers = store.folder / "layers"
    layers.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", layers], check=True)
    try:
        with pytest.raises(StoreFull, match="too little room") as caught:
            store.complete(opened())
        assert (caught.value.place, list(layers.iterdir())) == (str(layers), [])
    finally:
        subprocess.run(["umount", layers], check=True)
    assert store.complete(opened())


def test_a_layer_is_not_read_before_it_was_rebuilt(released: Vendor) -> None:
    bundle = released.open("new.delta.tar")
    with pytest.raises(LayerPending):
        bundle.open_layer(bundle.images["collector/app:1.1.0"].layers[1])


def test_a_damaged_base_is_noticed(released: Vendor, tmp_path: Path) -> None:
    store, opened = site(released, tmp_path)
    old = released.open("old.bundle.tar")
    at = old.locate(old.images["collector/app:1.0.0"].layers[1].blob.digest)
    data = bytearray(old.path.read_bytes())
    data[at.offset + at.size // 2] ^= 1
    old.path.write_bytes(data)
    with pytest.raises(BlobDamaged, match="old.bundle.tar"):
        store.complete(opened())
    assert not list((store.folder / "layers").iterdir())


def test_no_byte_of_a_delta_may_differ(released: Vendor, tmp_path: Path) -> None:
    data = (released.home / "dist/new.delta.tar").read_bytes()
    path, keys = released.home / "dist/flipped.delta.tar", [released.signer.public]
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        with pytest.raises(DeployctlError):
            verify_blobs(open_bundle(path, keys))


def test_a_delta_in_parts(released: Vendor) -> None:
    path = released.build("new.delta.tar.parts", since=[released.open("old.bundle.tar")], split=2048).path
    assert len(list(path.parent.glob("new.delta.tar.0*"))) >= 3
    assert released.open(path.name).index_digest == released.open("new.delta.tar").index_digest


def test_a_whole_layer_of_an_earlier_build_travels_as_a_patch(released: Vendor) -> None:
    released.build("new.bundle.tar")
    exports = len(released.source.exports)
    known = [released.open("new.bundle.tar")]
    released.build("again.delta.tar", since=[released.open("old.bundle.tar")], known=known)
    assert len(released.source.exports) == exports
    assert released.open("again.delta.tar").size == released.open("new.delta.tar").size


def test_the_same_input_makes_the_same_delta_but_for_signatures(released: Vendor) -> None:
    first = released.open("new.delta.tar")
    released.build("again.delta.tar", since=[released.open("old.bundle.tar")])
    again = released.open("again.delta.tar")
    assert (again.delta, again.index) == (first.delta, first.index)


def pieces(patch: bytes, old: bytes) -> bytes:
    made = apply(lambda o, n: io.BytesIO(patch[o : o + n]), len(patch), lambda o, n: old[o : o + n], "patch")
    return b"".join(made)


@settings(max_examples=300, deadline=None)
@given(control=st.binary(max_size=40), diff=st.binary(max_size=40), extra=st.binary(max_size=40), size=st.integers(0, 1 << 40))
def test_a_hostile_patch_is_refused_or_makes_no_more_than_it_says(control: bytes, diff: bytes, extra: bytes, size: int) -> None:
    frames = [zstandard.compress(part) for part in (control, diff, extra)]
    patch = HEAD.pack(b"deployctl-patch-1\n", 100, size, *map(len, frames)) + b"".join(frames)
    with contextlib.suppress(RefusedError):
        assert len(pieces(patch, bytes(100))) == size


HOSTILE = {
    "bytes": b"nonsense",
    "a frame of 65 MiB": zstandard.compress(bytes(65 << 20)),
    "no frame of known size": zstandard.ZstdCompressor(write_content_size=False).compress(b"x"),
    "two frames": zstandard.compress(b"x") + zstandard.compress(b"y"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_small_files_are_refused(vendor: Vendor, case: str) -> None:
    data = HOSTILE[case]
    path = vendor.home / "x.delta.tar"
    name = media.SMALL.format(hashlib.sha256(data).hexdigest())
    path.write_bytes(header(media.DELTA, 0) + header(name, len(data)) + data + bytes(padding(len(data))) + END)
    with pytest.raises(BundleDamaged):
        open_bundle(path, [])


def receipt(vendor: Vendor, path: Path, *held: Bundle) -> Path:
    """What a site writes that holds these bundles."""
    holds = tuple(Holds(one.name, one.version, one.index_digest) for one in held)
    trust.generate(path.parent / "site.key", None, "ed25519")
    said = Receipt("acme", "2026-11-21T10:00:00Z", holds, ())
    path.write_bytes(write_receipt(said, "text", trust.load_private(path.parent / "site.key", None)))
    return path


def test_a_receipt_stands_for_the_bundles_that_it_names(released: Vendor, tmp_path: Path) -> None:
    old = released.open("old.bundle.tar")
    path = receipt(released, tmp_path / "acme.receipt", old)
    (found,) = bases_of(path, released.home / "dist", "collector")
    assert found.index_digest == old.index_digest
    assert [one.index_digest for one in bases_of(old.path, tmp_path, "collector")] == [old.index_digest]
    released.build("by-receipt.delta.tar", since=[found])
    assert released.open("by-receipt.delta.tar").delta == released.open("new.delta.tar").delta


def test_a_receipt_of_what_the_vendor_has_not_is_told(released: Vendor, tmp_path: Path) -> None:
    old = released.open("old.bundle.tar")
    path = receipt(released, tmp_path / "acme.receipt", old)
    for folder, name in ((tmp_path, "collector"), (released.home / "dist", "other")):
        with pytest.raises(BaseNotHere, match=r"acme holds of .*: .* none of these bundles"):
            bases_of(path, folder, name)
    with pytest.raises(BaseNotHere, match=f"1.0.0 .index {old.index_digest}"):
        bases_of(path, tmp_path, "collector")


def test_a_receipt_that_was_changed_is_none(released: Vendor, tmp_path: Path) -> None:
    path = receipt(released, tmp_path / "acme.receipt", released.open("old.bundle.tar"))
    path.write_bytes(path.read_bytes().replace(b"1.0.0", b"1.0.1"))
    with pytest.raises(ReceiptInvalid):
        bases_of(path, released.home / "dist", "collector")
