"""A layer's tar from another layer's tar: patches of our own, simple enough to be read back on any page of a manual.

A patch is 18 bytes `deployctl-patch-1\\n`, five numbers of 8 bytes (big-endian): the sizes of the old tar, of the new one,
and of the three zstd frames that follow: *control*, *diff*, *extra*. The control is a row of numbers (LEB128), four a step:

    how many bytes to take from `extra`,
    how far to move in the old tar from where the last step ended (zigzag: 2n forward, 2n − 1 back),
    how many bytes to copy from there,
    how many more to copy with the next bytes of `diff` added to them, each modulo 256.

The making of one (`deploybundle.pack.patches`) may be as clever as it likes; this stays.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import zstandard

from deploybundle.open.problems import AGAIN, BlobDamaged
from deploybundle.open.streams import CHUNK, WINDOW

MAGIC = b"deployctl-patch-1\n"
HEAD = struct.Struct(">18s5Q")
CONTROL_LIMIT = 64 << 20
_COMPLEMENT = bytes(range(255, -1, -1))
ReadOld = Callable[[int, int], bytes]  # offset, size


@dataclass(frozen=True)
class PatchHead:
    """Sizes in bytes: the old tar, the new one, and each frame."""

    old_size: int
    new_size: int
    control: int
    diff: int
    extra: int


def read_head(data: bytes, size: int, place: str) -> PatchHead:
    """The head of a patch of `size` bytes. BlobDamaged if it is none."""
    if len(data) >= HEAD.size:
        magic, *numbers = HEAD.unpack_from(data)
        head = PatchHead(*numbers)
        if magic == MAGIC and HEAD.size + head.control + head.diff + head.extra == size:
            return head
    raise BlobDamaged("is no patch", place=place, hint=AGAIN)


def apply(patch: Callable[[int, int], BinaryIO], size: int, old: ReadOld, place: str) -> Iterator[bytes]:
    """The new tar's bytes, in pieces of at most 1 MiB. `patch(offset, size)` opens a piece of the patch of `size` bytes.

    BlobDamaged if the patch is not in the format, reaches outside the old tar or makes more than it says. Who consumes
    this compares the digest of all with the layer's diffID.
    """
    with patch(0, min(size, HEAD.size)) as first:
        head = read_head(first.read(), size, place)
    at = HEAD.size
    with (
        patch(at, head.control) as control,
        patch(at + head.control, head.diff) as diff,
        patch(at + head.control + head.diff, head.extra) as extra,
    ):
        numbers = _Frame(control, CONTROL_LIMIT, place).all()
        job = _Job(head, old, _Frame(diff, head.new_size, place), _Frame(extra, head.new_size, place), place)
        yield from job.run(numbers)


@dataclass
class _Job:
    head: PatchHead
    old: ReadOld
    diff: _Frame
    extra: _Frame
    place: str
    made: int = 0
    at: int = 0

    def run(self, control: bytes) -> Iterator[bytes]:
        numbers = _numbers(control, self.place)
        for take in numbers:
            yield from self._pieces(take, self.extra.take)
            move, copy, add = (next(numbers, 0) for _ in range(3))
            self.at += -(move + 1) // 2 if move % 2 else move // 2
            if self.at < 0 or self.at + copy + add > self.head.old_size:
                raise damaged("reaches outside the old layer", self.place)
            yield from self._pieces(copy, self._copied)
            yield from self._pieces(add, self._added)
        if self.made != self.head.new_size:
            raise damaged(f"makes {self.made} bytes, expected {self.head.new_size}", self.place)

    def _pieces(self, size: int, make: Callable[[int], bytes]) -> Iterator[bytes]:
        self.made += size
        if self.made > self.head.new_size:
            raise damaged(f"makes more than {self.head.new_size} bytes", self.place)
        while size:
            piece = make(min(size, CHUNK))
            size -= len(piece)
            yield piece

    def _copied(self, size: int) -> bytes:
        data = self.old(self.at, size)
        if len(data) != size:
            raise damaged("the old layer ends too early", self.place)
        self.at += size
        return data

    def _added(self, size: int) -> bytes:
        return add(self._copied(size), self.diff.take(size))


def add(one: bytes, other: bytes) -> bytes:
    """Each byte of the one plus that of the other, modulo 256: as two long numbers, without a carry between the bytes."""
    size = len(one)
    low, high = int.from_bytes(b"\x7f" * size), int.from_bytes(b"\x80" * size)
    a, b = int.from_bytes(one), int.from_bytes(other)
    return (((a & low) + (b & low)) ^ ((a ^ b) & high)).to_bytes(size)


def subtract(one: bytes, other: bytes) -> bytes:
    """What `add` takes to make the one out of the other."""
    return add(add(one, other.translate(_COMPLEMENT)), b"\x01" * len(one))


class _Frame:
    """One zstd frame, read in pieces; never more than `limit` bytes."""

    def __init__(self, stream: BinaryIO, limit: int, place: str) -> None:
        self._left, self._place = limit, place
        self._stream = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(stream, read_size=CHUNK)

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = self._read(size)
        if len(data) != size:
            raise damaged("ends too early", self._place)
        return data

    def all(self) -> bytes:
        """Everything."""
        data = self._read(self._left)
        if self._read(1):
            raise damaged("more control than allowed", self._place)
        return data

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except zstandard.ZstdError as error:
            raise damaged(f"cannot be decompressed: {error}", self._place) from error


def _numbers(data: bytes, place: str) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
        elif shift > 56:
            raise damaged("a number that is too large", place)


def damaged(what: str, place: str) -> BlobDamaged:
    """The error for a patch that is not in the format."""
    return BlobDamaged(f"patch: {what}", place=place, hint=AGAIN)
