"""Layers from the engine's own disk, where we may read it: quicker than its API, and no temporary file in the daemon.

The classic overlay2 store keeps, for each layer, the files (`overlay2/<cache-id>/diff`) and what else the tar held
(`layerdb/sha256/<chainID>/tar-split.json.gz`, github.com/vbatts/tar-split: one JSON object a line, type 2 with raw bytes,
type 1 with a file's name and size, in the order of the tar). Together they are the tar, byte for byte; the diffID proves it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic_core import from_json  # three times as quick as json.loads, and a layer has thousands of lines

from .images import Config, Layer, LayerUnreadable

CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class EngineDisk:
    """The data root of an engine with the classic overlay2 store."""

    root: Path

    @staticmethod
    def find(info: Mapping[str, Any]) -> EngineDisk | None:
        """The disk of the engine that answers `info`; None where it is not overlay2, or not ours to read."""
        found = EngineDisk(Path(str(info.get("DockerRootDir") or "/nonexistent")))
        readable = os.access(found._layers, os.R_OK | os.X_OK) and os.access(found.root / "overlay2", os.R_OK | os.X_OK)
        return found if info.get("Driver") == "overlay2" and readable else None

    @property
    def _layers(self) -> Path:
        return self.root / "image" / "overlay2" / "layerdb" / "sha256"

    def config(self, digest: str) -> Config | None:
        """An image's config, if it is there and right."""
        path = self.root / "image" / "overlay2" / "imagedb" / "content" / "sha256" / digest.removeprefix("sha256:")
        try:
            content = path.read_bytes()
        except OSError:
            return None
        return Config(digest, content) if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest else None

    def layer(self, diff_ids: Sequence[str]) -> Layer | None:
        """The uppermost of these layers, which stand on one another; None if the engine's disk has no record of it.

        Reading its stream raises LayerUnreadable when a file is gone or another.
        """
        folder = self._layers / _chain(diff_ids)
        try:
            files = self.root / "overlay2" / (folder / "cache-id").read_text().strip() / "diff"
            parts = _Parts(folder / "tar-split.json.gz", files)
            size = parts.size()
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            return None
        return Layer(cast(BinaryIO, _Joined(iter(parts))), size, diff_ids[-1])


def _chain(diff_ids: Sequence[str]) -> str:
    """The chainID (OCI image configuration, "Layer ChainID"), without its algorithm."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest()
    return chain.removeprefix("sha256:")


@dataclass(frozen=True)
class _Parts:
    """The pieces of a layer's tar in order."""

    record: Path
    files: Path

    def size(self) -> int:
        """The tar's size in bytes; reads the record only."""
        return sum(len(_raw(entry)) if entry["type"] == 2 else int(entry.get("size") or 0) for entry in self._entries())

    def __iter__(self) -> Iterator[bytes]:
        try:
            for entry in self._entries():
                if entry["type"] == 2:
                    yield from filter(None, [_raw(entry)])
                elif size := int(entry.get("size") or 0):
                    yield from self._file(_name(entry), size)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise LayerUnreadable(str(error), place=str(self.files)) from error

    def _entries(self) -> Iterator[dict[str, Any]]:
        with gzip.open(self.record) as lines:
            yield from map(from_json, lines)

    def _file(self, name: bytes, size: int) -> Iterator[bytes]:
        handle = os.open(os.path.join(os.fsencode(self.files), os.path.normpath(b"/" + name).lstrip(b"/")), _FLAGS)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size != size:
                raise ValueError(f"expected a file of {size} bytes: {name!r}")
            while size and (chunk := os.read(handle, min(size, CHUNK))):
                size -= len(chunk)
                yield chunk
        finally:
            os.close(handle)


def _raw(entry: Mapping[str, Any]) -> bytes:
    return base64.b64decode(entry.get("payload") or b"")


def _name(entry: Mapping[str, Any]) -> bytes:
    """A name that is not UTF-8 stands in `name_raw`."""
    return base64.b64decode(entry["name_raw"]) if "name_raw" in entry else str(entry["name"]).encode()


class _Joined(io.RawIOBase):
    """Pieces as a stream: small ones are joined, large ones go by without a copy."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, none at the end; all without."""
        found, have = list[bytes](), 0
        while (part := self._rest or next(self._parts, b"")) and (size < 0 or have + len(part) <= size):
            found.append(part)
            have, self._rest = have + len(part), b""
        cut = 0 if found else size
        self._rest = part[cut:]
        return b"".join(found) if found else part[:cut]

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
