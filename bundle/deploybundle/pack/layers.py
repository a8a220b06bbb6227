"""Layers: raw tars in, zstd frames out, hashed on both sides in one pass."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import zstandard

from deploybundle import sources
from deploybundle.open import Layer, media
from deploybundle.open.streams import CHUNK
from deploybundle.open.types import Descriptor
from deploybundle.pack.problems import ImageChanged
from deploybundle.pack.writer import Writer

LEVEL = 3


def layer_of(diff_id: str, raw_size: int, digest: str, size: int) -> Layer:
    """A layer as the index will name it."""
    return Layer(diff_id, raw_size, Descriptor(media.LAYER, digest, size, {media.RAW_SIZE: str(raw_size)}))


def compressor_of(level: int) -> zstandard.ZstdCompressor:
    """A compressor on all cores; it holds about 30 MB for each, so it is let go of with the export.

    Always worker threads, at least one: zstd's bytes don't depend on their number, but differ without any.
    """
    threads = max(1, len(os.sched_getaffinity(0)))
    return zstandard.ZstdCompressor(level=level, threads=threads, write_content_size=True)


@dataclass
class Layers:
    """The layers of the new bundle, by diff_id; `wanted` are those that its images have; `written` counts bytes."""

    writer: Writer
    folder: Path
    wanted: frozenset[str]
    on_bytes: Callable[[int], None] = lambda _: None
    found: dict[str, Layer] = field(default_factory=dict)
    written: int = 0

    def add(self, layer: sources.Layer, compressor: zstandard.ZstdCompressor) -> None:
        """Compress a layer into the bundle. Taken back if no image wants it, or it is there already."""
        if layer.size is None:
            with tempfile.TemporaryFile(dir=self.folder) as spool:
                self._add(spool, self._spool(layer.stream, spool), compressor)
        else:
            self._add(layer.stream, layer.size, compressor)

    def _spool(self, stream: BinaryIO, spool: BinaryIO) -> int:
        """Only for engines that export layers compressed: a frame's header has the raw size, and nobody knows it yet."""
        while chunk := stream.read(CHUNK):
            spool.write(chunk)
        size = spool.tell()
        spool.seek(0)
        return size

    def _add(self, stream: BinaryIO, size: int, compressor: zstandard.ZstdCompressor) -> None:
        raw, frame = hashlib.sha256(), compressor.chunker(size=size, chunk_size=CHUNK)
        try:
            blob = self.writer.stream(self._compress(stream, frame, raw.update), keep=lambda: self._is_new(raw.hexdigest()))
        except zstandard.ZstdError as error:
            raise ImageChanged(f"a layer is not of its declared {size} bytes: {error}", place="Docker") from error
        if self._is_new(raw.hexdigest()):
            diff_id = f"sha256:{raw.hexdigest()}"
            self.found[diff_id] = layer_of(diff_id, size, blob.digest, blob.size)
            self.written += blob.size

    def _is_new(self, raw: str) -> bool:
        return f"sha256:{raw}" in self.wanted and f"sha256:{raw}" not in self.found

    def _compress(
        self, stream: BinaryIO, frame: zstandard.ZstdCompressionChunker, look: Callable[[bytes], None]
    ) -> Iterator[bytes]:
        while chunk := stream.read(CHUNK):
            look(chunk)
            yield from frame.compress(chunk)
            self.on_bytes(len(chunk))
        yield from frame.finish()  # type: ignore[no-untyped-call]
