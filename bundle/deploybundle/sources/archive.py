"""A `docker save` archive, read as it streams: it may be larger than memory and disk, and its manifest comes last.

Engines before 25 write `<id>/layer.tar` (a layer again as a symlink) and `<config>.json`; from 25 on an OCI layout whose
blobs stand in the order of their digests, so each shows only by its first bytes what it is. Layers are raw tars: engines with
the containerd store, which keeps them compressed, are read by `containerd_images`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from .images import Config, Exported, ExportFailed, Layer

_OLD_CONFIG = re.compile(r"([0-9a-f]{64})\.json")
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_JSON_LIMIT = 16 << 20
_BUFFER = 1 << 20
_BROKEN = (tarfile.TarError, EOFError, OSError, http.client.HTTPException)


class _Passing:
    """A stream as tarfile wants its files: it goes forward only. Nothing is kept, so nothing is copied."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._at = stream, 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def seek(self, offset: int) -> None:
        while self._at < offset and self.read(min(offset - self._at, _BUFFER)):
            pass


class _Content(io.RawIOBase):
    """A file of the archive as the consumer reads it: what breaks below is told as ExportFailed, whoever reads."""

    def __init__(self, stream: _Passing, size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all without; empty at its end."""
        with _told():
            data = self._stream.read(min(size, self._left) if size >= 0 else self._left)
            if self._left and size and not data:
                raise EOFError(f"{self._left} bytes too early")
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ExportFailed(f"the archive breaks off: {error}", place="Docker", hint="look at its log") from error


def read_archive(stream: BinaryIO) -> Iterator[Exported]:
    """Layers and configs in stream order. Raises ExportFailed when the stream ends before its manifest."""
    complete, passing = False, _Passing(stream)
    with _told(), tarfile.open(fileobj=cast(BinaryIO, passing), mode="r:") as archive:
        for member in archive:
            complete = complete or member.name == "manifest.json"
            if member.isreg():
                yield from _part(member.name, _Content(passing, member.size), member.size)
    if not complete:
        raise ExportFailed("the archive ends before its manifest", place="Docker", hint="look at its log")


def _part(name: str, content: _Content, size: int) -> Iterator[Exported]:
    if name.endswith("/layer.tar"):
        yield Layer(cast(BinaryIO, content), size)
    elif _OLD_CONFIG.fullmatch(name):
        yield _config(content.read(_JSON_LIMIT))
    elif _BLOB.fullmatch(name):
        yield from _blob(io.BufferedReader(content, 1024), size)


def _blob(content: io.BufferedReader, size: int) -> Iterator[Exported]:
    head = content.peek(512)
    if _is_json(head, size):
        text = content.read(_JSON_LIMIT)
        if "rootfs" in json.loads(text):
            yield _config(text)
    else:
        yield Layer(cast(BinaryIO, content), size)


def _is_json(head: bytes, size: int) -> bool:
    return head.startswith(b"{") and head[257:262] != b"ustar" and size <= _JSON_LIMIT


def _config(content: bytes) -> Config:
    return Config("sha256:" + hashlib.sha256(content).hexdigest(), content)
