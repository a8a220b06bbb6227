"""Blobs and layers as streams that verify themselves: whoever read the last byte holds the right bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from typing import BinaryIO, cast

import zstandard

from deploybundle import oci
from deploybundle.open import media
from deploybundle.open.medium import Reading, read_at
from deploybundle.open.problems import AGAIN, BlobDamaged
from deploybundle.open.types import BlobAt, Layer

CHUNK = 1 << 20
WINDOW = 1 << 27  # what zstd's command line accepts without being asked; keeps the memory of a reader bounded


BROKEN = (zstandard.ZstdError, gzip.BadGzipFile, zlib.error, EOFError)
"""What a stream that is not what it says raises, of those that `unpacked` gives."""


def unpacked(blob: BinaryIO, packing: oci.Packing) -> BinaryIO:
    """A blob's content, of all its frames or members."""
    if packing == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=blob))
    if packing == "zstd":
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        return cast(BinaryIO, decompressor.stream_reader(blob, read_size=CHUNK, read_across_frames=True))
    return blob


class _Verified(io.RawIOBase):
    """A stream of known size and digest; the last byte is given only after the digest held."""

    def __init__(self, size: int, digest: str, place: str) -> None:
        self._left, self._digest, self._place, self._hash = size, digest, place, hashlib.sha256()
        self._checked = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with memoryview(buffer) as view, view.cast("B") as into:
            count = self._fill(into[: min(len(into), self._left)]) if self._left and len(into) else 0
            if self._left and len(into) and not count:
                raise self._refuse(f"ends {self._left} bytes too early")
            self._hash.update(into[:count])
        self._left -= count
        if not self._left and not self._checked:
            self._check()
        return count

    def _fill(self, into: memoryview) -> int:
        raise NotImplementedError

    def _check(self) -> None:
        got = f"sha256:{self._hash.hexdigest()}"
        if got != self._digest:
            raise self._refuse(f"expected {self._digest}, got {got}")
        self._checked = True

    def _refuse(self, what: str) -> BlobDamaged:
        return BlobDamaged(what, place=self._place, hint=AGAIN)


class _Blob(_Verified):
    def __init__(self, at: BlobAt, digest: str, place: str) -> None:
        super().__init__(at.size, digest, place)
        self._file, self._offset = at.medium.open(), at.offset

    def _fill(self, into: memoryview) -> int:
        count = self._file.read_into(into, self._offset)
        self._offset += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Raw(_Verified):
    def __init__(self, layer: Layer, blob: BinaryIO, place: str) -> None:
        super().__init__(layer.raw_size, layer.diff_id, place)
        self._blob = blob
        self._stream = unpacked(blob, oci.LAYERS[layer.blob.media_type])

    def _fill(self, into: memoryview) -> int:
        try:
            return int(self._stream.readinto(into))  # type: ignore[attr-defined]
        except BROKEN as error:
            raise self._refuse(f"cannot be decompressed: {error}") from error

    def _check(self) -> None:
        super()._check()
        if self._fill(memoryview(bytearray(1))):
            raise self._refuse("holds more than its declared raw size")

    def close(self) -> None:
        self._blob.close()
        super().close()


def open_blob(at: BlobAt, digest: str, place: str) -> BinaryIO:
    """The blob's bytes; reading its end raises BlobDamaged if they are not those of `digest`."""
    return io.BufferedReader(_Blob(at, digest, place), CHUNK)


def open_layer(at: BlobAt, layer: Layer, place: str) -> BinaryIO:
    """The layer's uncompressed tar. BlobDamaged if it is longer than declared, or at its end if it is not its diff_id's."""
    if media.RAW_SIZE in layer.blob.annotations:
        _check_frame(at, layer, place)
    return io.BufferedReader(_Raw(layer, open_blob(at, layer.blob.digest, place), place), CHUNK)


def _check_frame(at: BlobAt, layer: Layer, place: str) -> None:
    """A layer that we compressed says in its header how large it is."""
    try:
        size = zstandard.get_frame_parameters(_peek(at)).content_size
    except zstandard.ZstdError as error:
        raise BlobDamaged(f"is no zstd frame: {error}", place=place, hint=AGAIN) from error
    if size != layer.raw_size:
        raise BlobDamaged(f"expected a frame of {layer.raw_size} raw bytes, got {size}", place=place, hint=AGAIN)


def _peek(at: BlobAt) -> bytes:
    with Reading(at.medium) as file:
        return read_at(file, at.offset, min(at.size, 18))


class _Region(io.RawIOBase):
    """A piece of a blob, whose bytes were verified as a whole."""

    def __init__(self, at: BlobAt, offset: int, size: int) -> None:
        self._file, self._offset, self._left = at.medium.open(), at.offset + offset, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with memoryview(buffer) as view, view.cast("B") as into:
            count = self._file.read_into(into[: min(len(into), self._left)], self._offset) if self._left else 0
        self._offset, self._left = self._offset + count, self._left - count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def region(at: BlobAt, offset: int, size: int) -> BinaryIO:
    """A piece of a blob, not verified by itself."""
    return io.BufferedReader(_Region(at, offset, size), CHUNK)


def read_blob(at: BlobAt, digest: str, limit: int, place: str) -> bytes:
    """The blob's bytes, verified. BlobDamaged if they are others or more than `limit`."""
    if at.size > limit:
        raise BlobDamaged(f"expected at most {limit} bytes, got {at.size}", place=place, hint=AGAIN)
    with open_blob(at, digest, place) as blob:
        return blob.read()
