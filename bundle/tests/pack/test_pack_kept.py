"""Images that stay as others made them: byte for byte, so that digests and signatures hold."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from forger import Forger
from layouts import GZIP, PACKED, Layout
from memory_images import digest
from vendors import APP, BASE, NGINX, Vendor, noise

from deploybundle import pack
from deploybundle.open import BlobDamaged, BundleDamaged, open_bundle, verify_blobs
from deploybundle.sources import LayoutInvalid, Layouts, read_layout

REF = "collector/nginx:1.0.0"


def build(vendor: Vendor, path: Path, name: str = "collector.bundle.tar", **more: Any) -> pack.Built:
    """Both images, nginx out of the layout."""
    source = Layouts([read_layout(path)], lambda: vendor.source)
    return vendor.build(name, images=source.inspect(sorted(vendor.source.images)), source=source, **more)


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize("media_type", PACKED)
def test_every_blob_is_as_it_was_and_its_layers_can_be_read(
    vendor: Vendor, tmp_path: Path, media_type: str, docker: bool
) -> None:
    one = Layout()
    one.name(one.image([BASE, NGINX], media_type, docker=docker), ref=REF)
    build(vendor, one.archive(tmp_path / "x.tar"))
    bundle = vendor.open()
    verify_blobs(bundle)
    image = bundle.images[REF]
    assert image.kept and image.manifest.digest == one.entries[0]["digest"]
    assert {f"blobs/sha256/{found[7:]}" for found in bundle.blobs} >= {name for name in one.files if "blobs" in name}
    for layer, raw in zip(image.layers, (BASE, NGINX), strict=True):
        with bundle.open_layer(layer) as stream:
            assert stream.read() == raw
    assert not bundle.images["collector/app:1.0.0"].kept


def test_built_again_nothing_is_read_and_the_bundle_is_the_same(vendor: Vendor, tmp_path: Path) -> None:
    one = Layout()
    one.name(one.image([BASE, NGINX]), ref=REF)
    path = one.folder(tmp_path / "x")
    first = build(vendor, path)
    for name in one.files:
        if "blobs" in name and len(one.files[name]) > 20_000:
            (path / name).unlink()  # the large layer: it is in the earlier bundle
    second = build(vendor, path, "again.bundle.tar", known=[vendor.open()])
    assert second.index_digest == first.index_digest and second.reused > 20_000
    assert (vendor.home / "dist/again.bundle.tar").read_bytes()[4096:] != b""


def test_a_delta_carries_what_changed_and_is_whole_at_the_site(vendor: Vendor, tmp_path: Path) -> None:
    one, two = Layout(), Layout()
    one.name(one.image([BASE, NGINX]), ref=REF)
    two.name(two.image([BASE, noise(7, 3000) + bytes(7240)]), ref=REF)
    build(vendor, one.folder(tmp_path / "one"), "old.bundle.tar")
    old = vendor.open("old.bundle.tar")
    whole = build(vendor, two.folder(tmp_path / "two"), "new.bundle.tar")
    build(vendor, two.folder(tmp_path / "two"), "new.delta.tar", since=[old])
    delta = vendor.open("new.delta.tar")
    assert delta.index_digest == whole.index_digest and delta.size < 10_000 and not delta.pending
    verify_blobs(delta)


@pytest.mark.parametrize("what", ["another", "longer", "shorter", "garbage"])
def test_a_layer_that_is_not_what_the_manifest_says_is_refused(vendor: Vendor, tmp_path: Path, what: str) -> None:
    one = Layout()
    one.name(one.image([BASE, NGINX]), ref=REF)
    blob = PACKED[GZIP](NGINX)
    name = f"blobs/sha256/{digest(blob)[7:]}"
    one.files[name] = {"another": PACKED[GZIP](APP), "longer": blob + b"x", "shorter": blob[:-9], "garbage": b"x" * len(blob)}[
        what
    ]
    with pytest.raises(LayoutInvalid, match=digest(blob)):
        build(vendor, one.folder(tmp_path / "x"))
    assert not list((vendor.home / "dist").glob("*"))


def test_a_layer_that_unpacks_to_another_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    one = Layout()
    entry = one.image([BASE, NGINX])
    manifest = json.loads(one.files[f"blobs/sha256/{entry['digest'][7:]}"])
    manifest["layers"][1] = one.blob(PACKED[GZIP](APP), GZIP)
    one.name(one.blob(json.dumps(manifest).encode(), entry["mediaType"]), ref=REF)
    with pytest.raises(LayoutInvalid, match=digest(NGINX)):
        build(vendor, one.folder(tmp_path / "x"))


@pytest.fixture
def forged(vendor: Vendor, tmp_path: Path) -> Forger:
    one = Layout()
    one.name(one.image([BASE, NGINX]), ref=REF)
    build(vendor, one.folder(tmp_path / "x"))
    return Forger(vendor, tmp_path)


SIZES = "dev.deployctl.raw-sizes"


@pytest.mark.parametrize("sizes", ["", "1", "1,2,3", "1,x", "01,2", "-1,2", "1,,2"])
def test_sizes_that_are_none_are_refused(forged: Forger, sizes: str) -> None:
    entry = next(one for one in forged.index["manifests"] if SIZES in one.get("annotations", {}))
    entry["annotations"][SIZES] = sizes
    with pytest.raises(BundleDamaged, match="raw-sizes"):
        forged.open()


@pytest.mark.parametrize("less", [-1, 1, 5000])
def test_a_raw_size_that_lies_is_found_and_nothing_more_is_given(forged: Forger, less: int) -> None:
    entry = next(one for one in forged.index["manifests"] if SIZES in one.get("annotations", {}))
    entry["annotations"][SIZES] = f"{len(BASE)},{len(NGINX) - less}"
    bundle = forged.open()
    with pytest.raises(BlobDamaged), bundle.open_layer(bundle.images[REF].layers[1]) as stream:
        given = 0
        while chunk := stream.read(1000):
            given += len(chunk)
            assert given <= len(NGINX) - less


@pytest.mark.parametrize("kind", ["zstd", "gzip"])
def test_a_bomb_stops_at_the_declared_size(vendor: Vendor, tmp_path: Path, kind: str) -> None:
    zeros = bytes(200 << 20)
    media_type = next(name for name in PACKED if name.endswith(kind))
    one = Layout()
    one.name(one.image([BASE, APP], media_type), ref=REF)
    build(vendor, one.folder(tmp_path / "x"))
    forged = Forger(vendor, tmp_path)
    old = PACKED[media_type](APP)
    bomb = zstandard.ZstdCompressor().compress(zeros) if kind == "zstd" else gzip.compress(zeros, 1)
    manifest = next(blob for blob in forged.blobs if digest(old).encode() in blob and b'"by"' in blob)
    value = json.loads(manifest)
    value["layers"][1].update(digest=digest(bomb), size=len(bomb))
    forged.blobs[forged.blobs.index(old)] = bomb
    forged.replace(manifest, json.dumps(value).encode())
    bundle = forged.open()
    given = hashlib.sha256()
    with pytest.raises(BlobDamaged, match="expected sha256:"), bundle.open_layer(bundle.images[REF].layers[1]) as stream:
        while chunk := stream.read(1 << 16):
            given.update(chunk)


def test_the_words_of_a_kept_image_must_be_two(forged: Forger) -> None:
    entry = next(one for one in forged.index["manifests"] if SIZES in one.get("annotations", {}))
    entry["annotations"]["x"] = "y"
    with pytest.raises(BundleDamaged, match="expected an image's name"):
        forged.open()
    del entry["annotations"]["x"]
    entry["artifactType"] = "application/vnd.deployctl.files.v1"
    with pytest.raises(BundleDamaged):
        open_bundle(forged.path, None) if not forged.open() else None
