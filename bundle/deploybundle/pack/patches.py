"""Patches of layers, made: files are matched by their names in both tars, and what differs by HDiffPatch.

HDiffPatch (github.com/sisong/HDiffPatch) finds the longest matches of both whole inputs by a suffix array; that needs six times
their size and most of the time. Given only the files that differ it takes a tenth of both. The matches that it finds
go into a format of our own (`deploybundle.open.patch`), so that a site needs nothing but zstd to apply it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

import zstandard

from deploybundle.open.patch import HEAD, MAGIC, subtract
from deploybundle.pack.matches import Cover, Span, matches

POOL_LIMIT = 128 << 20  # bytes on either side; above, files that differ are matched only where they lie alike
BLOCK, LARGE = 512, 1 << 16
LEVEL = 19


class Member(NamedTuple):
    """A file in a tar: where its header (with the PAX records before it) begins, its content, and where that ends."""

    start: int
    data: int
    end: int

    @property
    def content(self) -> Span:
        return Span(self.data, self.end)


Members = Mapping[str, Member]


def make(old: BinaryIO, old_data: memoryview, new: BinaryIO, new_data: memoryview) -> bytes | None:
    """The patch from one tar to the other; each as a file and as its bytes. None if one of them is no tar."""
    try:
        before, after = _members(old), _members(new)
    except tarfile.TarError:
        return None
    return _encode(old_data, new_data, _covers(before, old_data, after, new_data))


def _members(file: BinaryIO) -> dict[str, Member]:
    found: dict[str, Member] = {}
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for each in tar:
            size = each.size if each.isreg() else 0
            found[each.name] = Member(each.offset, each.offset_data, each.offset_data + size)
    return found


def _covers(old: Members, old_data: memoryview, new: Members, new_data: memoryview) -> Iterator[Cover]:
    """In the order of the new tar, without overlaps there."""
    alike = {name for name in new if name in old and _alike(old[name], old_data, new[name], new_data)}
    gone = [old[name].content for name in sorted(old) if name not in alike]
    come = [new[name].content for name in sorted(new) if name not in alike]
    inside = _pooled(gone, old_data, come, new_data)
    for name in sorted(new, key=lambda name: new[name].start):
        if name in alike:
            yield Cover(old[name].start, new[name].start, new[name].end - new[name].start)
        else:
            yield from _header(old.get(name), new[name])
            yield from inside.get(new[name].data, ())


def _pooled(gone: Sequence[Span], old_data: memoryview, come: Sequence[Span], new_data: memoryview) -> dict[int, list[Cover]]:
    """The matches within files that differ, by the start of the new file's content."""
    if max(sum(span.size for span in gone), sum(span.size for span in come)) > POOL_LIMIT:
        return {}
    inside: dict[int, list[Cover]] = {}
    for start, cover in matches(gone, old_data, come, new_data):
        inside.setdefault(start, []).append(cover)
    return inside


def _header(old: Member | None, new: Member) -> Iterator[Cover]:
    if old and old.data - old.start == new.data - new.start:
        yield Cover(old.start, new.start, new.data - new.start)


def _alike(old: Member, old_data: memoryview, new: Member, new_data: memoryview) -> bool:
    """Whether both lie alike: of the same sizes, with at most an eighth of the blocks changed (a .pyc with another time)."""
    size = new.end - new.start
    if (old.end - old.start, old.data - old.start) != (size, new.data - new.start):
        return False
    changed = sum(add for _, add in _runs(old_data, new_data, Cover(old.data, new.data, new.end - new.data)))
    return changed <= max(BLOCK, size // 8)


def _runs(old: memoryview, new: memoryview, cover: Cover) -> Iterator[tuple[int, int]]:
    """A cover in runs: so many bytes that are the same, then so many that differ."""
    same = differ = 0
    for start, end in _blocks(old, new, cover):
        if old[cover.old + start : cover.old + end].tobytes() == new[cover.new + start : cover.new + end].tobytes():
            if differ:
                yield same, differ
                same = differ = 0
            same += end - start
        else:
            differ += end - start
    yield same, differ


def _blocks(old: memoryview, new: memoryview, cover: Cover) -> Iterator[tuple[int, int]]:
    """Large blocks where they are the same, small ones where not."""
    for start in range(0, cover.size, LARGE):
        end = min(start + LARGE, cover.size)
        if old[cover.old + start : cover.old + end].tobytes() == new[cover.new + start : cover.new + end].tobytes():
            yield start, end
        else:
            yield from ((at, min(at + BLOCK, end)) for at in range(start, end, BLOCK))


def _encode(old: memoryview, new: memoryview, covers: Iterator[Cover]) -> bytes:
    control, diff, extra = bytearray(), bytearray(), bytearray()
    made = at = 0
    for cover in covers:
        take, source = cover.new - made, cover.old
        extra += new[made : cover.new]
        made = cover.new
        for same, differ in _runs(old, new, cover):
            control += b"".join(map(_number, (take, _zigzag(source - at), same, differ)))
            target = made + same
            diff += subtract(new[target : target + differ].tobytes(), old[source + same : source + same + differ].tobytes())
            made, at, take = target + differ, source + same + differ, 0
            source = at
    if made < len(new):
        extra += new[made:]
        control += b"".join(map(_number, (len(new) - made, 0, 0, 0)))
    frames = [_compress(bytes(part)) for part in (control, diff, extra)]
    return HEAD.pack(MAGIC, len(old), len(new), *map(len, frames)) + b"".join(frames)


def _compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=LEVEL).compress(data)


def _zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _number(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])
