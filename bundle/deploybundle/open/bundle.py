"""A bundle, opened: its index, its signatures and the place of every blob are checked; the blobs are on reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deploybundle import trust
from deploybundle.open import media, streams
from deploybundle.open.delta import Delta, Patch
from deploybundle.open.medium import Medium, Reading, read_at
from deploybundle.open.problems import LayerPending
from deploybundle.open.tar import BLOCK
from deploybundle.open.types import BlobAt, Descriptor, Image, Layer


@dataclass(frozen=True)
class Bundle:
    """A release in one file, read in place. `index_digest` is its identity, `meta` its release.json, `blobs` by digest.

    Of a `delta`, many of the blobs lie in other bundles, its `bases`, and what is `pending` must be rebuilt from patches.
    """

    medium: Medium
    index: bytes
    index_digest: str
    meta: dict[str, Any]
    images: dict[str, Image]
    kinds: dict[str, dict[str, Descriptor]]
    blobs: dict[str, BlobAt]
    signed_by: trust.PublicKey | None
    statement: trust.Statement | None
    delta: Delta | None = None
    bases: tuple[Bundle, ...] = ()
    pending: tuple[Patch, ...] = ()

    @property
    def path(self) -> Path:
        """The file, or the list of its parts."""
        return self.medium.path

    @property
    def size(self) -> int:
        """Bytes of the file, or of all parts."""
        return self.medium.size

    @property
    def name(self) -> str:
        """The release's name, such as "collector"."""
        return str(self.meta["name"])

    @property
    def version(self) -> str:
        """The release's version, such as "1.0.0"."""
        return str(self.meta["version"])

    @property
    def files(self) -> dict[str, Descriptor]:
        """The project's files by relative name."""
        return self.kinds.get("files", {})

    @property
    def tools(self) -> dict[str, Descriptor]:
        """Programs that the bundle brings along: "docker-compose", "installer", "collections", …"""
        return self.kinds.get("tools", {})

    @property
    def wheels(self) -> dict[str, list[Descriptor]]:
        """Wheels for each Python ("3.11"), whose file names are their titles."""
        kinds = {kind: list(members.values()) for kind, members in self.kinds.items() if kind.startswith("wheels-")}
        return {kind.removeprefix("wheels-"): members for kind, members in kinds.items()}

    @property
    def keyset(self) -> trust.KeySet | None:
        """The vendor's key set as of this release, if he has one. KeySetInvalid if it is none."""
        found = self.kinds.get("trust", {}).get("keyset.json")
        return trust.read_keyset(self.read(found.digest), f"{self.path}: keyset.json") if found else None

    @property
    def head(self) -> bytes:
        """The bytes before the first blob's header: index, signatures, padding."""
        own = [at.offset for at in self.blobs.values() if at.medium == self.medium]
        with Reading(self.medium) as file:
            return read_at(file, 0, min(own) - BLOCK)

    def locate(self, digest: str) -> BlobAt:
        """Where the blob lies. KeyError if the bundle has none of this digest."""
        return self.blobs[digest]

    def read(self, digest: str, limit: int = media.JSON_LIMIT) -> bytes:
        """The blob's bytes, verified; at most `limit` bytes."""
        return streams.read_blob(self.locate(digest), digest, limit, self._place(digest))

    def open(self, digest: str) -> BinaryIO:
        """The blob as a stream that verifies itself at its end."""
        return streams.open_blob(self.locate(digest), digest, self._place(digest))

    def open_layer(self, layer: Layer) -> BinaryIO:
        """The layer's uncompressed tar as a stream, capped at its declared size, verified at its end."""
        if any(patch.diff_id == layer.diff_id for patch in self.pending):
            hint = "install with this delta first: that rebuilds it"
            raise LayerPending(f"the layer {layer.diff_id} is a patch", place=str(self.path), hint=hint)
        return streams.open_layer(self.locate(layer.blob.digest), layer, self._place(layer.blob.digest))

    def _place(self, digest: str) -> str:
        return f"{self.path}: blob {digest} at offset {self.blobs[digest].offset}"
