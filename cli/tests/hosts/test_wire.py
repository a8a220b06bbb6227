"""The tar for `docker load`: its size is known before, and both ways to send it give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import pytest
import zstandard

from deploybundle.open import Descriptor, Image, Layer
from deployctl.hosts.wire import Encoding, LayerShort, loaded_ids, wire

RAW = [b"", b"x" * 512, b"layer" * 70_000, b"y" * 700]
TAG = "shop/web:1-0123456789abcdef"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


TAR = "application/vnd.oci.image.layer.v1.tar"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    f"{TAR}+zstd": zstandard.ZstdCompressor().compress, f"{TAR}+gzip": partial(gzip.compress, mtime=0), TAR: bytes,
}  # fmt: skip
BLOBS = {digest(pack(raw)): pack(raw) for raw in RAW for pack in PACKERS.values()}


def opened(name: str) -> BinaryIO:
    return io.BytesIO(BLOBS[name])


def packed(raw: bytes, media_type: str) -> Descriptor:
    blob = PACKERS[media_type](raw)
    return Descriptor(media_type, digest(blob), len(blob), {})


def image(raws: list[bytes], media_type: str = f"{TAR}+zstd") -> Image:
    layers = tuple(Layer(digest(raw), len(raw), packed(raw, media_type)) for raw in raws)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}).encode()
    return Image("shop/web:1", digest(config), config, Descriptor("m", "sha256:0", 0, {}), layers)


def sent(raws: list[bytes], missing: list[int], encoding: Encoding, media_type: str = f"{TAR}+zstd") -> bytes:
    size, stream = wire(image(raws, media_type), missing, encoding, opened, tag=TAG)
    data = b"".join(stream)
    assert len(data) == size
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return data


@pytest.mark.parametrize("missing", [[], [0], [3], [1, 2], [0, 1, 2, 3]])
def test_both_encodings_are_the_same_tar_of_the_size_that_was_promised(missing: list[int]) -> None:
    whole = sent(RAW, missing, "raw")
    assert all(sent(RAW, missing, encoding, packing) == whole for encoding in ("raw", "zstd") for packing in PACKERS)


def test_only_the_missing_layers_are_in_it_and_the_manifests_name_all() -> None:
    with tarfile.open(fileobj=io.BytesIO(sent(RAW, [2], "raw"))) as tar:
        names = tar.getnames()
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    docker = json.loads(files["manifest.json"])[0]
    index = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(files[f"blobs/{index['digest'].replace(':', '/')}"])
    assert docker["RepoTags"] == [TAG]
    assert index["annotations"]["io.containerd.image.name"] == f"docker.io/{TAG}"
    assert [layer["digest"] for layer in manifest["layers"]] == [digest(raw) for raw in RAW]
    assert [name for name in names if name in docker["Layers"]] == [f"blobs/sha256/{hashlib.sha256(RAW[2]).hexdigest()}"]
    assert loaded_ids(image(RAW)) == {image(RAW).config_digest, index["digest"]}


def test_a_layer_that_an_image_has_twice_is_sent_once() -> None:
    with tarfile.open(fileobj=io.BytesIO(sent([RAW[1], RAW[2], RAW[1]], [0, 1, 2], "raw"))) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))


def test_a_blob_that_is_too_short_is_not_sent_in_silence() -> None:
    _, stream = wire(image(RAW), [2], "zstd", lambda name: io.BytesIO(b""), tag=TAG)
    with pytest.raises(LayerShort, match="bytes fewer"):
        list(stream)
