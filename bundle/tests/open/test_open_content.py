"""A signed index that lies is refused as well: a key can be stolen, and a vendor can be careless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zstandard
from forger import Change, Forger
from vendors import Vendor

from deploybundle.errors import RefusedError
from deploybundle.open import BlobDamaged, BundleTooNew
from deploybundle.open.names import check_names


@pytest.fixture
def forger(built: Vendor, tmp_path: Path) -> Forger:
    return Forger(built, tmp_path)


def test_what_the_forger_leaves_alone_is_accepted(forger: Forger) -> None:
    assert forger.open().meta == forger.bundle.meta


def put(*keys: Any, value: Any) -> Change:
    def change(found: Any) -> None:
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] = value

    return change


DEEP: Any = []
for _ in range(40):
    DEEP = [DEEP]

INDEXES: dict[str, Change] = {
    "another media type": put("mediaType", value="application/json"),
    "another schema": put("schemaVersion", value=1),
    "a key more": put("subject", value={}),
    "manifests that are none": put("manifests", value={}),
    "a manifest that is none": put("manifests", 0, value=7),
    "a digest that is none": put("manifests", 0, "digest", value="sha256:" + "A" * 64),
    "a digest that is a list": put("manifests", 0, "digest", value=[]),
    "another algorithm": put("manifests", 0, "digest", value="sha512:" + "0" * 128),
    "a blob that is not there": put("manifests", 0, "digest", value="sha256:" + "0" * 64),
    "a negative size": put("manifests", 0, "size", value=-1),
    "a size that is true": put("manifests", 0, "size", value=True),
    "a size that lies": put("manifests", 0, "size", value=5),
    "a foreign manifest": put("manifests", 0, "mediaType", value="text/plain"),
    "a media type that is a list": put("manifests", 0, "mediaType", value=[]),
    "an image without a name": put("manifests", 0, "annotations", value={}),
    "an image with a wild name": put("manifests", 0, "annotations", "org.opencontainers.image.ref.name", value="-x y"),
    "annotations that are none": put("manifests", 0, "annotations", value=[1]),
    "a number as annotation": put("manifests", 0, "annotations", "org.opencontainers.image.ref.name", value=1),
    "an image as artifact": put("manifests", 0, "artifactType", value="application/vnd.deployctl.files.v1"),
    "a kind that is not ours": put("manifests", 2, "artifactType", value="application/vnd.deployctl.evil.v1"),
    "a kind that is a list": put("manifests", 2, "artifactType", value=[]),
    "an annotation that is not ours": put("annotations", "x", value="y"),
    "another installer": put("annotations", "dev.deployctl.installer", value="sha256:" + "0" * 64),
    "another release": put("annotations", "dev.deployctl.release", value="collector 2.0.0"),
    "another head": put("annotations", "dev.deployctl.head", value="4096"),
    "no release": lambda index: index["manifests"].pop(3),
    "an image twice": lambda index: index["manifests"].append(index["manifests"][0]),
    "no annotations": lambda index: index.pop("annotations"),
    "nested too deep": put("manifests", 0, "annotations", value=DEEP),
}


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_that_lies_is_refused(forger: Forger, case: str) -> None:
    INDEXES[case](forger.index)
    with pytest.raises(RefusedError):
        forger.open()


@pytest.mark.parametrize(
    "index",
    [b"[]", b"7", b'{"a":1,"a":1}', b"\xff", b'{ "a":1}', b"[" * 4000, b'{"a":NaN}', b'{"a":1' + b"0" * 5000 + b"}"],
    ids=lambda value: value[:12].decode("latin1"),
)
def test_an_index_in_another_spelling_is_refused(forger: Forger, index: bytes) -> None:
    with pytest.raises(RefusedError):
        forger.open(index)


def test_a_newer_format_says_what_to_use(forger: Forger) -> None:
    forger.index["annotations"]["dev.deployctl.format"] = "2"
    with pytest.raises(BundleTooNew, match="expected format 1, got '2'"):
        forger.open()


RAW = "dev.deployctl.raw-size"
MANIFESTS: dict[str, tuple[int, Change]] = {
    "a layer of another type": (0, put("layers", 0, "mediaType", value="application/vnd.oci.image.layer.v1.tar")),
    "a layer without its raw size": (0, put("layers", 0, "annotations", value={})),
    "a raw size that is none": (0, put("layers", 0, "annotations", RAW, value="1e9")),
    "a layer too few": (0, lambda manifest: manifest["layers"].pop()),
    "layers that are none": (0, put("layers", value=None)),
    "a config of another type": (0, put("config", "mediaType", value="text/plain")),
    "a manifest with more": (0, put("subject", value={})),
    "a file without a title": (2, put("layers", 0, "annotations", value={})),
    "a file that leaves its folder": (2, put("layers", 0, "annotations", "org.opencontainers.image.title", value="../x")),
    "a file with a surrogate": (2, put("layers", 0, "annotations", "org.opencontainers.image.title", value="a\ud800")),
    "a file executable by a lie": (2, put("layers", 0, "annotations", "dev.deployctl.executable", value="yes")),
    "a kind of another kind": (2, put("artifactType", value="application/vnd.deployctl.tools.v1")),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_lies_is_refused(forger: Forger, case: str) -> None:
    forger.manifest(*MANIFESTS[case])
    with pytest.raises(RefusedError):
        forger.open()


@pytest.mark.parametrize("config", [b"[]", b"{}", b'{"rootfs":{"diff_ids":["x","y"]}}', b'{"rootfs":[]}', b"\xff", b"[" * 5000])
def test_a_config_that_is_none_is_refused(forger: Forger, config: bytes) -> None:
    forger.replace(forger.bundle.images["collector/app:1.0.0"].config, config)
    with pytest.raises(RefusedError):
        forger.open()


WILD = ["/etc/passwd", "..", "a/../b", "a//b", "a/", "", "a\nb", "a\0b", "a\\b", "x" * 256, "\u202eevil", "\ud800"]


@pytest.mark.parametrize("names", [*([name] for name in WILD), ["a", "a/b"], ["a", "a"], ["b", "a"]], ids=ascii)
def test_hostile_names_are_refused(names: list[str]) -> None:
    with pytest.raises(RefusedError) as caught:
        check_names(names, "files")
    assert caught.value.code == "hostile-name"


def layer_bomb(raw_size: int) -> dict[str, bytes]:
    """Frames that are no layer of `raw_size` bytes."""
    zeros, packer = bytes(raw_size), zstandard.ZstdCompressor()
    return {
        "more than declared": packer.compress(bytes(50 << 20)),
        "a second frame": packer.compress(zeros) + packer.compress(bytes(50 << 20)),
        "no size in the header": zstandard.ZstdCompressor(write_content_size=False).compress(zeros),
        "other bytes": packer.compress(zeros),
        "cut off": packer.compress(bytes(range(256)) * (raw_size // 256) + zeros[: raw_size % 256])[:-20],
        "no frame": b"x" * 500,
        "nothing": b"",
    }


@pytest.mark.parametrize("case", layer_bomb(1000))
def test_a_layer_that_is_not_its_own_is_refused_while_it_is_read(forger: Forger, case: str) -> None:
    layer = forger.bundle.images["collector/nginx:1.0.0"].layers[1]
    forger.replace(forger.bundle.read(layer.blob.digest), layer_bomb(layer.raw_size)[case])
    bundle = forger.open()
    with pytest.raises(BlobDamaged, match="forged"), bundle.open_layer(bundle.images["collector/nginx:1.0.0"].layers[1]) as raw:
        while raw.read(1 << 16):
            pass
