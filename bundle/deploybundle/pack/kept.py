"""Images that stay as others made them: their blobs go into the bundle byte for byte, unpacked only to be looked at."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from deploybundle import oci, sources
from deploybundle.open import Bundle, Layer
from deploybundle.open.streams import BROKEN, CHUNK, unpacked
from deploybundle.open.types import Descriptor
from deploybundle.pack.index import Manifest
from deploybundle.pack.pipeline import ahead
from deploybundle.pack.writer import Blob, Writer

LARGEST = 1 << 40
"""Bytes that a layer may unpack to: whoever is fed a bomb stops there."""


@dataclass
class Keeper:
    """`known` are layers of earlier bundles by their blobs' digests; `software` what the layers hold that were looked at."""

    writer: Writer
    known: Mapping[str, tuple[Bundle, Layer]]
    on_bytes: Callable[[int], None]
    layers: dict[str, Layer] = field(default_factory=dict)
    software: dict[str, sources.Findings] = field(default_factory=dict)

    def reuse(self, images: Sequence[sources.ImageInfo]) -> int:
        """Take from earlier bundles what they have. Returns how many bytes that were."""
        wanted = {one.digest for image in images if image.kept for one in image.kept.layers}
        found = {digest: self.known[digest] for digest in sorted(wanted & set(self.known))}
        self.writer.copy({digest: bundle.locate(digest) for digest, (bundle, _) in found.items()})
        self.layers |= {digest: layer for digest, (_, layer) in found.items()}
        return sum(layer.blob.size for _, layer in found.values())

    def keep(self, image: sources.ImageInfo, kept: sources.Kept) -> Manifest:
        """Write all of an image. Raises LayoutInvalid if its blobs are not those that its manifest names."""
        self.writer.put(kept.config)
        for part, diff_id in zip(kept.layers, image.diff_ids, strict=True):
            if part.digest not in self.layers:
                self._write(kept, part, diff_id)
            if self.layers[part.digest].diff_id != diff_id:
                raise _other(kept, part, diff_id, self.layers[part.digest].diff_id)
        sizes = [self.layers[part.digest].raw_size for part in kept.layers]
        return Manifest(self.writer.put(kept.manifest), kept.media_type, sizes)

    def _write(self, kept: sources.Kept, part: oci.Part, diff_id: str) -> None:
        look, scan = _Look(diff_id), sources.LayerScan()
        with kept.open(part) as file:
            try:
                blob = self.writer.stream(ahead(self._read(file, part, look, scan)))
            except BROKEN as error:
                raise sources.LayoutInvalid(f"{part.digest}: cannot be unpacked: {error}", place=kept.place) from error
        if blob != Blob(part.digest, part.size):
            raise _other(kept, part, f"{part.digest} of {part.size} bytes", f"{blob.digest} of {blob.size}")
        if look.digest != diff_id:
            raise _other(kept, part, diff_id, look.digest)
        found = Descriptor(part.media_type, part.digest, part.size, {})
        self.layers[part.digest], self.software[diff_id] = Layer(diff_id, look.size, found), scan.end()

    def _read(self, file: BinaryIO, part: oci.Part, look: _Look, scan: sources.LayerScan) -> Iterator[bytes]:
        """The blob as it is, while its content passes by whoever looks at it."""
        tee = _Tee(file, part.size)
        content = unpacked(cast(BinaryIO, tee), oci.LAYERS[part.media_type])
        while chunk := content.read(CHUNK):
            look.feed(chunk)
            scan.feed(chunk)
            yield from self._counted(tee)
        while tee.read(CHUNK):
            pass
        yield from self._counted(tee)

    def _counted(self, tee: _Tee) -> Iterator[bytes]:
        for chunk in tee.taken():
            self.on_bytes(len(chunk))
            yield chunk


@dataclass
class _Look:
    """A layer's raw bytes as they pass."""

    expected: str
    size: int = 0
    hash: Any = field(default_factory=hashlib.sha256)

    def feed(self, chunk: bytes) -> None:
        self.hash.update(chunk)
        self.size += len(chunk)
        if self.size > LARGEST:
            raise EOFError(f"more than {LARGEST} bytes")

    @property
    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"


class _Tee(io.RawIOBase):
    """A blob as whoever unpacks it reads it; what was read is handed on. It ends one byte behind its declared size."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left, self._taken = file, size + 1, list[bytes]()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        data = self._file.read(min(size if size >= 0 else self._left, self._left))
        self._left -= len(data)
        if data:
            self._taken.append(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def taken(self) -> list[bytes]:
        """What was read since the last time."""
        found, self._taken = self._taken, []
        return found


def _other(kept: sources.Kept, part: oci.Part, expected: str, got: str) -> sources.LayoutInvalid:
    what = f"layer {part.digest}: expected {expected}, got {got}"
    return sources.LayoutInvalid(what, place=kept.place, hint="make it again; nothing was written")
