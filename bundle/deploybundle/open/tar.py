"""The small dialect of tar that a bundle is: ustar (POSIX.1-1988) headers of regular files, in one spelling.

A header is checked by making it again from its name and size: what differs in any byte is refused. So there are no links,
devices, PAX or sparse entries to fear: their headers are not among ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploybundle.open.medium import Handle, read_at
from deploybundle.open.problems import AGAIN, BundleDamaged, BundleTruncated

BLOCK = 512
END = bytes(2 * BLOCK)
_OCTAL_MAX = 8**11
_FIXED = b"0000644\0" + b"0000000\0" * 2


@dataclass(frozen=True)
class Entry:
    """A file in the tar: `offset` is where its content begins, in bytes from the start of the file; `size` in bytes."""

    name: str
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.offset + self.size + padding(self.size)


def padding(size: int) -> int:
    """How many zero bytes follow a content of this size."""
    return -size % BLOCK


def header(name: str, size: int) -> bytes:
    """The one header of a file: mode 0644, owner 0, time 0; sizes from 8 GiB on in base 256, as GNU tar has them."""
    number = b"%011o\0" % size if size < _OCTAL_MAX else b"\x80" + size.to_bytes(11, "big")
    start = name.encode("ascii").ljust(100, b"\0") + _FIXED + number + b"00000000000\0"
    end = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    total = sum(start) + sum(end) + 8 * ord(" ")
    return start + b"%06o\0 " % total + end


@dataclass(frozen=True)
class Tar:
    """An open medium, read by offset; `size` is the whole of it, in bytes."""

    file: Handle
    size: int
    place: str

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes. BundleTruncated if the file ends before."""
        data = read_at(self.file, offset, size)
        if len(data) != size:
            raise self.truncated(offset + size)
        return data

    def truncated(self, expected: int) -> BundleTruncated:
        """The error for a file that should have at least `expected` bytes."""
        return BundleTruncated(f"expected at least {expected} bytes, got {self.size}", place=self.place, hint=AGAIN)

    def damaged(self, what: str, offset: int) -> BundleDamaged:
        """The error for bytes that are not in our dialect."""
        return BundleDamaged(f"{what} at offset {offset}", place=self.place, hint=AGAIN)

    def entry(self, at: int) -> Entry | None:
        """The entry whose header begins at `at`, its padding checked; None for the end of the tar, checked to be the file's."""
        block = self.read(at, BLOCK)
        if block == bytes(BLOCK):
            self._check_end(at)
            return None
        name, size = self._name(block, at), self._size(block, at)
        if header(name, size) != block:
            raise self.damaged("a tar header that is not in the bundle's dialect", at)
        return self._check_padding(Entry(name, at + BLOCK, size))

    def _name(self, block: bytes, at: int) -> str:
        try:
            return block[:100].rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError as error:
            raise self.damaged("a name that is not ASCII", at) from error

    def _size(self, block: bytes, at: int) -> int:
        field = block[124:136]
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        if field[11] or not set(field[:11]) <= set(b"01234567"):
            raise self.damaged("a size that is no number", at)
        return int(field[:11], 8)

    def _check_padding(self, entry: Entry) -> Entry:
        if entry.end > self.size:
            raise self.truncated(entry.end + len(END))
        end = entry.offset + entry.size
        if any(self.read(end, padding(entry.size))):
            raise self.damaged(f"bytes other than zero after {entry.name}", end)
        return entry

    def _check_end(self, at: int) -> None:
        if self.size < at + len(END):
            raise self.truncated(at + len(END))
        if self.size > at + len(END) or any(self.read(at, len(END))):
            raise self.damaged("bytes after the end of the tar", at + BLOCK)
