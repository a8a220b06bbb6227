"""What bytes lie on: one file, numbered parts that are read as one without joining them, or memory."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol


class Handle(Protocol):
    """An open medium; any thread may read."""

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill the view from `offset` on. Returns how many bytes; fewer where a part ends, 0 at the end."""

    def close(self) -> None:
        """Let go of its files."""


class Medium(Protocol):
    """Bytes at offsets. `path` is how to name it to a person, `size` is in bytes."""

    @property
    def path(self) -> Path: ...

    @property
    def size(self) -> int: ...

    def open(self) -> Handle: ...


@dataclass(frozen=True)
class OneFile:
    """A file."""

    path: Path
    size: int

    def open(self) -> Handle:
        """OSError if it is gone."""
        return _Files([self.path], [0])


@dataclass(frozen=True)
class Parts:
    """Files that are one, in order; each but the last has `each` bytes. `path` is their list."""

    path: Path
    files: tuple[Path, ...]
    each: int
    size: int

    def open(self) -> Handle:
        """OSError if one is gone."""
        return _Files(self.files, [self.each * number for number in range(len(self.files))])


@dataclass(frozen=True)
class Memory:
    """Bytes that were unpacked; `path` is the file that they came from."""

    path: Path
    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    def open(self) -> Handle:
        """Nothing can go wrong."""
        return _Bytes(self.data)


class _Files:
    def __init__(self, paths: Sequence[Path], starts: Sequence[int]) -> None:
        self._starts, self._handles = starts, list[int]()
        try:
            for path in paths:
                self._handles.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    def read_into(self, view: memoryview, offset: int) -> int:
        number = bisect_right(self._starts, offset) - 1
        if number + 1 < len(self._starts):
            view = view[: self._starts[number + 1] - offset]
        return os.preadv(self._handles[number], [view], offset - self._starts[number])

    def close(self) -> None:
        while self._handles:
            os.close(self._handles.pop())


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_into(self, view: memoryview, offset: int) -> int:
        found = self._data[offset : offset + len(view)]
        view[: len(found)] = found
        return len(found)

    def close(self) -> None:
        pass


class Reading:
    """A medium open for a `with`."""

    def __init__(self, medium: Medium) -> None:
        self.handle = medium.open()

    def __enter__(self) -> Handle:
        return self.handle

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.handle.close()


def read_at(handle: Handle, offset: int, size: int) -> bytes:
    """Exactly so many bytes, or fewer where the medium ends."""
    data, done = bytearray(size), 0
    with memoryview(data) as view:
        while done < size and (count := handle.read_into(view[done:], offset + done)):
            done += count
    return bytes(data[:done])
