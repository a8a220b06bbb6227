"""Blobs into the tar, one after another: each is hashed as it is written, and its header comes last."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from deploybundle.open import BlobAt, media
from deploybundle.open.streams import CHUNK
from deploybundle.open.tar import BLOCK, END, header, padding
from deploybundle.pack.problems import EarlierBundleDamaged


@dataclass(frozen=True)
class Blob:
    """A blob in the new bundle: `sha256:…` and its size in bytes."""

    digest: str
    size: int


@dataclass
class Writer:
    """Writes behind the head: `file` is a descriptor, `at` the offset of the next header. No blob is written twice."""

    file: int
    at: int
    blobs: dict[str, Blob] = field(default_factory=dict)

    def put(self, data: bytes) -> Blob:
        """Write these bytes, unless they are there."""
        return self.stream([data])

    def stream(self, chunks: Iterable[bytes], keep: Callable[[], bool] = lambda: True) -> Blob:
        """Write what the chunks make. It is taken back if it is there already, or if `keep()`, asked at the end, says so."""
        found, size = hashlib.sha256(), 0
        for chunk in chunks:
            found.update(chunk)
            write_at(self.file, chunk, self.at + BLOCK + size)
            size += len(chunk)
        blob = Blob(f"sha256:{found.hexdigest()}", size)
        if blob.digest in self.blobs or not keep():
            os.ftruncate(self.file, self.at)
            return blob
        return self._finish(blob)

    def copy(self, digest: str, source: BlobAt) -> Blob:
        """Take a blob out of an earlier bundle as it lies there, by the kernel; its bytes are not looked at."""
        if digest in self.blobs:
            return self.blobs[digest]
        with source.path.open("rb") as earlier:
            _check_there(earlier, digest, source)
            _copy(earlier, source, self.file, self.at + BLOCK)
        return self._finish(Blob(digest, source.size))

    def _finish(self, blob: Blob) -> Blob:
        write_at(self.file, _header(blob.digest, blob.size), self.at)
        end = self.at + BLOCK + blob.size
        write_at(self.file, bytes(padding(blob.size)), end)
        self.at = end + padding(blob.size)
        self.blobs[blob.digest] = blob
        return blob

    def end(self) -> int:
        """Write the end of the tar. Returns the file's size in bytes."""
        write_at(self.file, END, self.at)
        return self.at + len(END)


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`."""
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, offset)
        view, offset = view[done:], offset + done


def _header(digest: str, size: int) -> bytes:
    return header(media.BLOBS + digest.removeprefix("sha256:"), size)


def _check_there(earlier: BinaryIO, digest: str, source: BlobAt) -> None:
    if os.pread(earlier.fileno(), BLOCK, source.offset - BLOCK) != _header(digest, source.size):
        raise _damaged(source, f"expected {digest} at offset {source.offset}")


def _damaged(source: BlobAt, what: str) -> EarlierBundleDamaged:
    hint = "it was changed meanwhile: run again, or move it away"
    return EarlierBundleDamaged(what, place=str(source.path), hint=hint)


# What a kernel or a file system answers that cannot copy between two files by itself.
_CANNOT = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}


def _copy(earlier: BinaryIO, source: BlobAt, target: int, at: int) -> None:
    done, step = 0, _in_kernel
    while done < source.size:
        try:
            count = step(earlier.fileno(), source.offset + done, target, at + done, source.size - done)
        except OSError as error:
            if step is _by_hand or error.errno not in _CANNOT:
                raise
            step = _by_hand
            continue
        if not count:
            raise _damaged(source, f"ends {source.size - done} bytes too early")
        done += count


def _in_kernel(source: int, offset: int, target: int, at: int, size: int) -> int:
    return os.copy_file_range(source, target, min(size, 1 << 30), offset, at)


def _by_hand(source: int, offset: int, target: int, at: int, size: int) -> int:
    data = os.pread(source, min(size, CHUNK), offset)
    write_at(target, data, at)
    return len(data)
