"""Manifests that others wrote, kept byte for byte: OCI's and Docker's (schema 2). Read as if an attacker wrote them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from deploybundle.trust import canonical

Packing = Literal["zstd", "gzip", ""]

# OCI image specification 1.1, media-types.md; Docker's: distribution, docs/spec/manifest-v2-2.md.
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
LAYERS: dict[str, Packing] = {
    "application/vnd.oci.image.layer.v1.tar": "",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
MOST_LAYERS = 1000
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Part:
    """A blob as a manifest names it; `size` in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """An image's config and its layers, the lowest first."""

    config: Part
    layers: tuple[Part, ...]


def read_manifest(data: bytes, media_type: str) -> Manifest:
    """An image's manifest. ValueError for whatever else it is."""
    value = _object(data)
    if media_type not in MANIFESTS or value.get("mediaType", media_type) != media_type or value.get("schemaVersion") != 2:
        raise ValueError(
            f"expected an image's manifest, got {media_type[:80]!r} that says {str(value.get('mediaType'))[:80]!r}"
        )
    layers = value.get("layers")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        raise ValueError(f"layers: expected a list of at most {MOST_LAYERS}")
    found = Manifest(read_part(value.get("config")), tuple(map(read_part, layers)))
    if found.config.media_type not in CONFIGS:
        raise ValueError(f"config: expected an image's, got {found.config.media_type[:80]!r}")
    strange = [layer.media_type for layer in found.layers if layer.media_type not in LAYERS]
    if strange:
        raise ValueError(f"layers: {strange[0][:80]!r} is none that we know")
    return found


def read_part(value: Any) -> Part:
    """A descriptor. Keys that say nothing of the bytes are passed over; `urls` (bytes that lie elsewhere) are refused."""
    if not isinstance(value, dict) or "urls" in value:
        raise ValueError("expected a descriptor whose blob lies here")
    media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
    if not isinstance(media_type, str) or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ValueError(f"expected a media type and a digest, got {str(media_type)[:80]!r} and {str(digest)[:80]!r}")
    if type(size) is not int or not 0 <= size < 1 << 53:
        raise ValueError(f"{digest}: expected a size in bytes, got {str(size)[:40]!r}")
    return Part(media_type, digest, size)


def diff_ids(config: bytes) -> tuple[str, ...]:
    """The digests of an image's layers, unpacked, as its config lists them. ValueError if it is no image's config."""
    rootfs = _object(config).get("rootfs")
    ids = (rootfs.get("diff_ids") or []) if isinstance(rootfs, dict) else None
    if not isinstance(ids, list) or not all(isinstance(one, str) and DIGEST.fullmatch(one) for one in ids):
        raise ValueError(f"no image's configuration: diff_ids are {str(ids)[:200]}")
    return tuple(ids)


def _object(data: bytes) -> dict[str, Any]:
    value = canonical.loads_foreign(data)
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value
