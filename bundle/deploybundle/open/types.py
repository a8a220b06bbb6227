"""What a bundle holds, typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploybundle.open import media
from deploybundle.open.medium import Medium
from deploybundle.trust import canonical


@dataclass(frozen=True)
class BlobAt:
    """Where a blob lies: `offset` and `size` in bytes within a medium."""

    medium: Medium
    offset: int
    size: int

    @property
    def path(self) -> Path:
        """How to name the medium to a person."""
        return self.medium.path


@dataclass(frozen=True)
class Descriptor:
    """A blob as the index names it: `digest` is `sha256:` and 64 hexadecimal digits of its bytes, `size` is in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str]


@dataclass(frozen=True)
class Layer:
    """An image's layer: `diff_id` is the digest and `raw_size` the size of its uncompressed tar; `blob` is it in zstd.

    In an image that is kept as others made it, `blob` may also be gzip, or the tar itself: its media type says it.
    """

    diff_id: str
    raw_size: int
    blob: Descriptor


@dataclass(frozen=True)
class Image:
    """An image: `config` are the daemon's own bytes, whose digest is the image's ID."""

    ref: str
    config_digest: str
    config: bytes
    manifest: Descriptor
    layers: tuple[Layer, ...]

    @property
    def exposed(self) -> tuple[tuple[int, str], ...]:
        """The ports that the Dockerfile EXPOSEs, as (port, "tcp" or "udp"), sorted."""
        ports = (self._config().get("ExposedPorts") or {}).keys()
        return tuple(sorted((int(port), protocol or "tcp") for port, _, protocol in (p.partition("/") for p in ports)))

    @property
    def kept(self) -> bool:
        """Whether manifest and blobs are as somebody else made them, so that his signatures hold."""
        return media.RAW_SIZES in self.manifest.annotations

    def _config(self) -> dict[str, Any]:
        config = canonical.loads_foreign(self.config).get("config")
        return config if isinstance(config, dict) else {}
