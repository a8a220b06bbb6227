"""An image as the tar that `docker load` reads: an OCI layout and a Docker archive in one, with only the layers missing.

Hosts get manifests with raw layers (digest = diffID): with layers compressed otherwise than its base's, a containerd store
says success and then neither lists nor saves the image. What travels is either that tar (`raw`), or the same tar as
zstd (`zstd`, engines from 23 on): the bundle's own frames of the layers, between small frames of tar headers. Frames one
after the other decompress to one stream (RFC 8878, 3). A layer that the bundle keeps otherwise packed, as others made it, goes
unpacked, in a frame of blocks that are not compressed. Either way the size is known before a byte is read.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Literal

import zstandard

from deploybundle import oci
from deploybundle.errors import InternalBug
from deploybundle.open import Image, Layer
from deploybundle.open.streams import unpacked


class LayerShort(InternalBug):
    """A verified layer unpacks to fewer bytes than its descriptor says.

    Send us the message. Nothing of that image was kept on the host.
    """

    code = "layer-short"


Encoding = Literal["raw", "zstd"]
OpenBlob = Callable[[str], BinaryIO]
CHUNK = 1 << 20
BLOCK = 512
STORED = b"\x28\xb5\x2f\xfd\x00\x38"  # a zstd frame's magic; no content size, no checksum; a window of 128 KiB
STORED_BLOCK = 128 << 10
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def wire(
    image: Image, missing: Sequence[int], encoding: Encoding, open_blob: OpenBlob, *, tag: str
) -> tuple[int, Iterator[bytes]]:
    """The exact size of the stream and the stream itself, for an image of which the host lacks the layers `missing`.

    The image arrives under `tag`. Nothing is opened before the first byte is asked for.
    """
    parts = [_packed(part, encoding) for part in _parts(image, missing, tag)]
    return sum(_size(part, encoding) for part in parts), _stream(parts, encoding, open_blob)


def loaded_ids(image: Image) -> set[str]:
    """What the engine may call the image once loaded: by its config (classic store) or its manifest (containerd's)."""
    return {image.config_digest, _digest(_manifest(image))}


def _parts(image: Image, missing: Sequence[int], tag: str) -> Iterator[bytes | Layer]:
    """The tar's content in order: bytes, and layers in place of theirs."""
    manifest = _manifest(image)
    head = [
        ("oci-layout", LAYOUT), ("index.json", _index(manifest, tag)), ("manifest.json", _docker_manifest(image, tag)),
        (_blob(_digest(manifest)), manifest), (_blob(image.config_digest), image.config),
    ]  # fmt: skip
    pending = b"".join(_header(name, len(data)) + data + _padding(len(data)) for name, data in head)
    once = {image.layers[number].diff_id: image.layers[number] for number in missing}  # an image may have a layer twice
    for layer in once.values():
        yield pending + _header(_blob(layer.diff_id), layer.raw_size)
        yield layer
        pending = _padding(layer.raw_size)
    yield pending + bytes(2 * BLOCK)


def _manifest(image: Image) -> bytes:
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": image.config_digest,
        "size": len(image.config),
    }
    layers = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.diff_id, "size": layer.raw_size}
        for layer in image.layers
    ]
    return _json({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers})


def _index(manifest: bytes, tag: str) -> bytes:
    """index.json; containerd takes the whole name from `io.containerd.image.name`."""
    annotations = {"io.containerd.image.name": _whole_name(tag), "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}
    entry = {
        "mediaType": MANIFEST_TYPE, "digest": _digest(manifest), "size": len(manifest), "annotations": annotations,
    }  # fmt: skip
    return _json({"schemaVersion": 2, "manifests": [entry]})


def _docker_manifest(image: Image, tag: str) -> bytes:
    layers = [_blob(layer.diff_id) for layer in image.layers]
    return _json([{"Config": _blob(image.config_digest), "RepoTags": [tag], "Layers": layers}])


def _whole_name(tag: str) -> str:
    """As containerd spells names: with the registry, and `library/` for Docker Hub's own."""
    first, slash, _ = tag.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return tag
    return f"docker.io/{tag}" if slash else f"docker.io/library/{tag}"


def _packed(part: bytes | Layer, encoding: Encoding) -> bytes | Layer:
    if isinstance(part, bytes) and encoding == "zstd":
        return zstandard.ZstdCompressor(level=3).compress(part)
    return part


def _size(part: bytes | Layer, encoding: Encoding) -> int:
    if isinstance(part, bytes):
        return len(part)
    if encoding == "zstd" and not _is_zstd(part):
        return len(STORED) + part.raw_size + 3 * max(1, -(-part.raw_size // STORED_BLOCK))
    return part.raw_size if encoding == "raw" else part.blob.size


def _is_zstd(layer: Layer) -> bool:
    return oci.LAYERS[layer.blob.media_type] == "zstd"


def _stream(parts: Sequence[bytes | Layer], encoding: Encoding, open_blob: OpenBlob) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
        else:
            yield from _layer(part, encoding, open_blob)


def _layer(layer: Layer, encoding: Encoding, open_blob: OpenBlob) -> Iterator[bytes]:
    left = _size(layer, encoding)
    with open_blob(layer.blob.digest) as blob:
        packing = oci.LAYERS[layer.blob.media_type]
        chunks = _chunks(blob if encoding == packing else unpacked(blob, packing))
        for chunk in _stored(chunks, layer.raw_size) if encoding == "zstd" and packing != "zstd" else chunks:
            left -= len(chunk)
            yield chunk
    if left:
        raise LayerShort(f"layer {layer.diff_id}: {left} bytes fewer than its descriptor says", place=layer.blob.digest)


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _stored(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """A zstd frame of raw blocks (RFC 8878, 3.1.1.2): each has a header of 3 bytes, little-endian: size << 3 | last."""
    yield STORED
    data, left = bytearray(), size
    for chunk in chunks:
        data += chunk
        while len(data) >= min(STORED_BLOCK, left) > 0:
            count = min(STORED_BLOCK, left)
            left -= count
            yield (count << 3 | (not left)).to_bytes(3, "little") + data[:count]
            del data[:count]
    if not size:
        yield b"\1\0\0"


def _header(name: str, size: int) -> bytes:
    """A tar header; GNU format, because a layer may be larger than the 8 GiB that ustar can say."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
