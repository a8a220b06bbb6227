"""Where a bundle is written: a file, or numbered parts, that are either whole or not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploybundle.open import parts
from deploybundle.open.medium import Medium, OneFile, Parts
from deploybundle.pack.problems import BuildRunning, CannotBundle, NoSpace

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Sink(Protocol):
    """Bytes at offsets, written in any order."""

    def write(self, data: bytes | memoryview, offset: int) -> None: ...

    def cut(self, size: int) -> None:
        """Forget what lies at `size` and behind it."""


class Partial(Sink, Protocol):
    """A sink whose bytes can be read back."""

    def medium(self) -> Medium:
        """What was written, for reading."""


@dataclass
class _Whole:
    """One file."""

    path: Path
    file: int

    @property
    def size(self) -> int:
        return os.fstat(self.file).st_size

    def write(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self.file, view, offset)
            view, offset = view[done:], offset + done

    def cut(self, size: int) -> None:
        if size < self.size:
            os.ftruncate(self.file, size)

    def medium(self) -> Medium:
        return OneFile(self.path, self.size)

    def publish(self, out: Path) -> None:
        os.fsync(self.file)
        self.path.replace(out)
        _sync_folder(out.parent)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self.file)


@dataclass
class _Split:
    """Numbered parts of `each` bytes; the list is written last."""

    path: Path
    lock: int
    each: int
    files: list[_Whole] = field(default_factory=list)
    opening: threading.Lock = field(default_factory=threading.Lock)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            number, at = divmod(offset, self.each)
            count = min(len(view), self.each - at)
            self._part(number).write(view[:count], at)
            view, offset = view[count:], offset + count

    def _part(self, number: int) -> _Whole:
        with self.opening:
            while len(self.files) <= number:
                self._add()
        return self.files[number]

    def _add(self) -> None:
        if len(self.files) == parts.MOST:
            what = f"more than {parts.MOST} parts of {self.each} bytes"
            raise CannotBundle(what, place=str(self.path), hint="name a larger size with --split")
        path = self.path.with_name(f"{self.path.name}.{len(self.files) + 1:03}")
        self.files.append(_Whole(path, _claim(path)))

    def cut(self, size: int) -> None:
        for number, file in enumerate(self.files):
            file.cut(min(max(size - number * self.each, 0), self.each))

    @property
    def size(self) -> int:
        return sum(file.size for file in self._used())

    def _used(self) -> list[_Whole]:
        return [file for file in self.files if file.size]

    def medium(self) -> Medium:
        return Parts(self.path, tuple(file.path for file in self._used()), self.each, self.size)

    def publish(self, out: Path) -> None:
        """The old list goes first and the new one comes last: a list that is there names parts that are whole."""
        stem = out.name.removesuffix(parts.SUFFIX)
        names = [parts.name_of(stem, number) for number in range(1, len(self._used()) + 1)]
        text = parts.text_of(self.size, self.each, list(zip(names, self._digests(), strict=True)))
        os.pwrite(self.lock, text.encode(), 0)
        out.unlink(missing_ok=True)
        for name, file in zip(names, self._used(), strict=True):
            file.publish(out.with_name(name))
        for left in self.files[len(names) :]:
            left.discard()
        _remove_surplus(out, stem, len(names))
        os.fsync(self.lock)
        self.path.replace(out)
        _sync_folder(out.parent)

    def _digests(self) -> Sequence[str]:
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return list(pool.map(_sha256, [file.path for file in self._used()]))

    def discard(self) -> None:
        for file in self.files:
            file.discard()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        for file in self.files:
            file.close()
        os.close(self.lock)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_surplus(out: Path, stem: str, count: int) -> None:
    """Parts that an earlier build had more of."""
    while (left := out.with_name(parts.name_of(stem, count + 1))).exists():
        left.unlink()
        count += 1


@contextmanager
def partial(out: Path, each: int | None = None) -> Iterator[Partial]:
    """What is written beside `out`, and takes its name once all is written and synced; removed on any failure.

    `each`: in parts of so many bytes; then `out` is their list. After a kill -9 `.partial` files stay, which nobody takes
    for a bundle; the next build writes them anew.
    """
    path = out.with_name(out.name + ".partial")
    try:
        file = _claim(path)
    except OSError as error:
        raise CannotBundle(
            f"cannot be written: {error.strerror}", place=str(path), hint="name another folder: --out"
        ) from error
    sink: _Whole | _Split = _Whole(path, file) if each is None else _Split(path, file, each)
    try:
        yield sink
        sink.publish(out)
    except BaseException as error:  # Ctrl-C too
        written = sink.size
        sink.discard()
        if isinstance(error, OSError) and error.errno in _FULL:
            hint = "free some space, or name another folder; nothing was left behind"
            raise NoSpace(f"the disk is full after {written} bytes", place=str(out), hint=hint) from error
        raise
    finally:
        sink.close()


def _claim(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
    except BlockingIOError as error:
        os.close(file)
        raise BuildRunning("another build is writing it", place=str(path), hint="wait for it, or name another file") from error
    return file


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
