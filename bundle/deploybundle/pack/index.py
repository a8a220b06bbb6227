"""The manifests and the index that name every blob, and the padded head that holds the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploybundle import sources
from deploybundle.open import Layer, media
from deploybundle.open.tar import BLOCK, header, padding
from deploybundle.pack.writer import Blob
from deploybundle.trust import canonical

_SIGNATURES = 16 << 10  # room for both signatures, the key and six headers; they need about 4 KiB
_ALIGN = 4096
_WIDEST = Blob("sha256:" + "0" * 64, (1 << 53) - 1)


@dataclass(frozen=True)
class Manifest:
    """An image's manifest as the index names it; `sizes` are those of the raw layers, where it is kept as others made it."""

    blob: Blob
    media_type: str = media.MANIFEST
    sizes: Sequence[int] | None = None

    def described(self, ref: str) -> dict[str, Any]:
        """Its descriptor."""
        kept = {} if self.sizes is None else {media.RAW_SIZES: ",".join(map(str, self.sizes))}
        return descriptor(self.media_type, self.blob, {media.REF_NAME: ref, **kept})


def descriptor(media_type: str, blob: Blob, annotations: Mapping[str, str] | None = None, **more: str) -> dict[str, Any]:
    """An OCI descriptor."""
    found = {"mediaType": media_type, "digest": blob.digest, "size": blob.size, **more}
    return {**found, "annotations": dict(annotations)} if annotations else found


def image_manifest(config: Blob, layers: tuple[Layer, ...]) -> bytes:
    """An OCI image manifest whose layers are zstd."""
    found = [descriptor(media.LAYER, Blob(each.blob.digest, each.blob.size), each.blob.annotations) for each in layers]
    return canonical.dumps(_manifest(descriptor(media.CONFIG, config), found))


def artifact_manifest(kind: str, config: dict[str, Any], members: list[dict[str, Any]]) -> bytes:
    """An OCI artifact manifest: the members of one kind."""
    return canonical.dumps(_manifest(config, members, artifactType=media.kind_type(kind)))


def _manifest(config: dict[str, Any], layers: list[dict[str, Any]], **more: str) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media.MANIFEST, "config": config, "layers": layers, **more}


def index(head: int, name: str, images: Mapping[str, Manifest], kinds: Mapping[str, Blob], installer: str | None) -> bytes:
    """The index: manifests of images by name, then of kinds by name."""
    manifests = [images[ref].described(ref) for ref in sorted(images)]
    manifests += [descriptor(media.MANIFEST, kinds[kind], artifactType=media.kind_type(kind)) for kind in sorted(kinds)]
    notes = {media.FORMAT: media.SCHEMA, media.HEAD: str(head), media.NAME: name}
    if installer:
        notes[media.INSTALLER] = installer
    return canonical.dumps({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": manifests, "annotations": notes})


def head_size(name: str, images: Sequence[sources.ImageInfo], kinds: list[str]) -> int:
    """How many bytes to reserve: depends on names and on counts of layers, so that the same input has the same head."""
    widest = index(
        1 << 53, name, {image.ref: _widest(image) for image in images}, dict.fromkeys(kinds, _WIDEST), _WIDEST.digest
    )
    return (len(widest) + _SIGNATURES + _ALIGN - 1) // _ALIGN * _ALIGN


def _widest(image: sources.ImageInfo) -> Manifest:
    kept = image.kept
    return Manifest(_WIDEST, kept.media_type, [_WIDEST.size] * len(kept.layers)) if kept else Manifest(_WIDEST)


def head(size: int, parts: Mapping[str, bytes]) -> bytes:
    """The head's bytes: the parts in the order of `media.HEAD_LIMITS`, then zeros up to `size`."""
    data = b"".join(_file(name, parts[name]) for name in media.HEAD_LIMITS if name in parts)
    rest = size - len(data) - BLOCK
    return data + _file("deployctl/padding", bytes(rest))


def _file(name: str, content: bytes) -> bytes:
    return header(name, len(content)) + content + bytes(padding(len(content)))
