"""Where pieces of new files occur in old ones, found by HDiffPatch (github.com/sisong/HDiffPatch)."""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

_MAGIC = b"HDIFF13&\0"


class Cover(NamedTuple):
    """These bytes of the new tar are (nearly) those of the old one."""

    old: int
    new: int
    size: int


class Span(NamedTuple):
    """Bytes from `start` up to `end`."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def matches(
    old: Sequence[Span], old_data: memoryview, new: Sequence[Span], new_data: memoryview
) -> Iterator[tuple[int, Cover]]:
    """For pieces of the new spans, the start of their span and where they occur in the old ones; in order within a span."""
    before, after = _Pool(old), _Pool(new)
    one, other = before.join(old_data), after.join(new_data)
    hdiffpatch = _hdiffpatch() if one and other else None
    if hdiffpatch is None:
        return
    for cover in covers(hdiffpatch.diff(one, other, validate=False)):
        done = 0
        while done < cover.size:
            source, target = before.at(cover.old + done), after.at(cover.new + done)
            size = min(cover.size - done, source.size, target.size)
            yield after.span(cover.new + done).start, Cover(source.start, target.start, size)
            done += size


def _hdiffpatch() -> Any:
    """Its 30 ms are for those who make patches; None on a deploy node, which makes none."""
    try:
        return importlib.import_module("hdiffpatch")
    except ImportError:
        return None


class _Pool:
    """Spans one after the other."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = [span for span in spans if span.size]
        self.starts = [0, *accumulate(span.size for span in self.spans)]

    def join(self, data: memoryview) -> bytes:
        return b"".join(data[span.start : span.end] for span in self.spans)

    def span(self, at: int) -> Span:
        return self.spans[bisect_right(self.starts, at) - 1]

    def at(self, at: int) -> Span:
        """From this place of the pool to the end of its span."""
        number = bisect_right(self.starts, at) - 1
        return Span(self.spans[number].start + at - self.starts[number], self.spans[number].end)


def covers(diff: bytes) -> Iterator[Cover]:
    """The matches in an uncompressed diff of HDiffPatch's format HDIFF13 (libHDiffPatch/HPatch/patch.c, read_diffz_head).

    Numbers are of 7 bits a byte, the highest first. A cover's first number has one bit less: that bit says "back".
    """
    if not diff.startswith(_MAGIC):
        raise ValueError(f"expected {_MAGIC!r}, got {diff[:16]!r}")
    numbers = _Numbers(diff, len(_MAGIC))
    _, _, count, *_ = (numbers.next() for _ in range(11))
    old = new = 0
    for _ in range(count):
        back, distance = numbers.signed()
        old += -distance if back else distance
        new += numbers.next()
        size = numbers.next()
        yield Cover(old, new, size)
        old, new = old + size, new + size


class _Numbers:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def next(self, first: int | None = None, bits: int = 7) -> int:
        byte = self._byte() if first is None else first
        value = byte & ((1 << bits) - 1)
        while byte >> bits & 1:
            byte, bits = self._byte(), 7
            value = value << 7 | byte & 0x7F
        return value

    def signed(self) -> tuple[bool, int]:
        byte = self._byte()
        return byte >> 7 == 1, self.next(byte & 0x7F, 6)

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]
