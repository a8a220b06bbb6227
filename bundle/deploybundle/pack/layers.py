"""Layers: raw tars in, zstd frames out, hashed on both sides in one pass."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import zstandard

from deploybundle import sources
from deploybundle.open import Bundle, Layer, media
from deploybundle.open.streams import CHUNK
from deploybundle.open.types import Descriptor
from deploybundle.pack.delta import Patcher
from deploybundle.pack.pipeline import ahead
from deploybundle.pack.problems import ImageChanged
from deploybundle.pack.writer import Blob, Writer

LEVEL = 3


def layer_of(diff_id: str, raw_size: int, digest: str, size: int) -> Layer:
    """A layer as the index will name it."""
    return Layer(diff_id, raw_size, Descriptor(media.LAYER, digest, size, {media.RAW_SIZE: str(raw_size)}))


def compressor_of(level: int) -> zstandard.ZstdCompressor:
    """A compressor on all cores; it holds about 30 MB for each, so it is let go of with the export.

    Always worker threads, at least one: zstd's bytes don't depend on their number, but differ without any. Jobs of 8 MiB that
    look back as far: 2 % less than zstd's own choice at level 3, sooner, since small layers keep two cores busy. Above that
    level bytes count more than time: it looks back 32 MiB by long matching (zstd's --long=25), for 1 % less.
    """
    threads = max(1, min(8, len(os.sched_getaffinity(0))))
    far = {"window_log": 25, "enable_ldm": True} if level > LEVEL else {"window_log": 23, "job_size": 8 << 20}
    level_of = zstandard.ZstdCompressionParameters.from_level
    return zstandard.ZstdCompressor(compression_params=level_of(level, threads=threads, write_content_size=True, **far))


@dataclass
class _Instead:
    """Asks once, when the layer is compressed, for a patch to write in its place."""

    make: Callable[[Blob], bytes | None]
    made: bytes | None = None

    def whole(self, blob: Blob) -> bool:
        self.made = self.make(blob)
        return self.made is None


@dataclass
class Layers:
    """The layers of the new bundle, by diff_id; `wanted` are those that its images have; `written` counts bytes.

    `software`: what those hold that were compressed, found as they passed.
    """

    writer: Writer
    wanted: frozenset[str]
    on_bytes: Callable[[int], None] = lambda _: None
    found: dict[str, Layer] = field(default_factory=dict)
    guess: bool = True
    written: int = 0
    software: dict[str, sources.Findings] = field(default_factory=dict)
    patcher: Patcher | None = None

    def add(self, layer: sources.Layer, compressor: zstandard.ZstdCompressor) -> None:
        """Compress a layer into the bundle. Taken back if no image wants it, or it is there already.

        Engines before 25 don't say which layer they send. `guess`: one of the same size as a layer that is there already is
        taken for that one and not compressed; whoever was wrong finds a layer missing in the end, and asks again without.
        """
        if self.guess and layer.diff_id is None and any(layer.size == each.raw_size for each in self.found.values()):
            for chunk in _read(layer.stream):
                self.on_bytes(len(chunk))
        else:
            self._add(layer, compressor)

    def _add(self, layer: sources.Layer, compressor: zstandard.ZstdCompressor) -> None:
        raw, scan, size = hashlib.sha256(), sources.LayerScan(), layer.size
        with self._spooled(size) as spool:
            looked = ahead(self._look(ahead(_read(layer.stream)), raw.update, scan.feed, *([spool.write] if spool else [])))
            patch = _Instead(lambda blob: self._patch(f"sha256:{raw.hexdigest()}", spool, blob))
            try:
                frame = ahead(self._compress(looked, compressor, size))
                blob = self.writer.stream(frame, lambda blob: self._is_new(raw.hexdigest(), layer) and patch.whole(blob))
            except (zstandard.ZstdError, sources.LayerUnreadable) as error:
                if layer.diff_id:
                    self.writer.take_back()
                    return  # offered again by another way
                raise ImageChanged(f"a layer is not of its declared {size} bytes: {error}", place="Docker") from error
        if self._is_new(raw.hexdigest(), layer):
            self._take(f"sha256:{raw.hexdigest()}", size, blob, patch.made)
            self.software[f"sha256:{raw.hexdigest()}"] = scan.end()

    def _spooled(self, size: int) -> contextlib.AbstractContextManager[BinaryIO | None]:
        return self.patcher.spool(size) if self.patcher else contextlib.nullcontext()

    def _patch(self, diff_id: str, spool: BinaryIO | None, blob: Blob) -> bytes | None:
        return self.patcher.patch(diff_id, spool, blob.size) if self.patcher and spool else None

    def reuse(self, bundle: Bundle, layer: Layer) -> bool:
        """Whether a layer that an earlier bundle has, but not the site, travels as a patch; then it is written."""
        if self.patcher is None:
            return False
        with self.patcher.spool(layer.raw_size) as spool, bundle.open_layer(layer) as stream:
            for chunk in _read(stream):
                spool.write(chunk)
            made = self.patcher.patch(layer.diff_id, spool, layer.blob.size)
        if made:
            self._note(layer.diff_id, made)
        return made is not None

    def _note(self, diff_id: str, patch: bytes) -> None:
        if self.patcher:
            self.patcher.note(diff_id, self.writer.stream([patch]))

    def _take(self, diff_id: str, size: int, blob: Blob, patch: bytes | None) -> None:
        self.found[diff_id] = layer_of(diff_id, size, blob.digest, blob.size)
        self.written += blob.size
        if patch:
            self._note(diff_id, patch)

    def _is_new(self, raw: str, layer: sources.Layer) -> bool:
        got = f"sha256:{raw}"
        return got in self.wanted and got not in self.found and layer.diff_id in (None, got)

    def _look(self, chunks: Iterable[bytes], *looks: Callable[[bytes], object]) -> Iterator[bytes]:
        for chunk in chunks:
            for look in looks:
                look(chunk)
            self.on_bytes(len(chunk))
            yield chunk

    def _compress(self, chunks: Iterable[bytes], compressor: zstandard.ZstdCompressor, size: int) -> Iterator[bytes]:
        frame = compressor.chunker(size=size, chunk_size=CHUNK)
        for chunk in chunks:
            yield from frame.compress(chunk)
        yield from frame.finish()  # type: ignore[no-untyped-call]


def _read(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
