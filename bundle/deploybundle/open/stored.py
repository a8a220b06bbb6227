"""A bundle that was taken into a store: its head in a small file, its blobs by digest, shared with other bundles.

Nothing is joined: the bundle's own bytes are composed while they are read, since the headers between the blobs have one
spelling. So it is verified, read in place and copied as the file that it came from, byte for byte.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploybundle.open import media
from deploybundle.open.problems import StoreDamaged
from deploybundle.open.tar import END, header, padding

SUFFIX = ".stored"
SCHEMA = 1
BLOBS = Path("blobs", "sha256")
LIMIT = 32 << 20
Piece = bytes | Path
_AGAIN = "take the bundle in again: deployctl import"


@dataclass(frozen=True)
class Stored:
    """Bytes at offsets, composed of pieces: `starts` and `pieces` in order, `size` in bytes."""

    path: Path
    starts: tuple[int, ...]
    pieces: tuple[Piece, ...]
    size: int

    def open(self) -> _Handle:
        """Files are opened as they are needed, since a bundle has more blobs than a process has descriptors."""
        return _Handle(self)


class _Handle:
    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def read_into(self, view: memoryview, offset: int) -> int:
        stored = self._stored
        if offset >= stored.size:
            return 0
        number = bisect_right(stored.starts, offset) - 1
        start, piece = stored.starts[number], stored.pieces[number]
        end = stored.starts[number + 1] if number + 1 < len(stored.starts) else stored.size
        return _read(piece, view[: end - offset], offset - start)

    def close(self) -> None:
        pass


def _read(piece: Piece, view: memoryview, offset: int) -> int:
    if isinstance(piece, bytes):
        found = piece[offset : offset + len(view)]
        view[: len(found)] = found
        return len(found)
    file = os.open(piece, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.preadv(file, [view], offset)
    finally:
        os.close(file)


def find_stored(path: Path) -> Stored:
    """What a file `….stored` stands for; its blobs lie beside it, in blobs/sha256. StoreDamaged, OSError."""
    with path.open("rb") as file:
        data = file.read(LIMIT)
    try:
        value = json.loads(data)
        if value["schema"] != SCHEMA:
            raise ValueError(f"schema {value['schema']!r}, expected {SCHEMA}")
        head, blobs = bytes.fromhex(value["head"]), [(str(name), int(size)) for name, size in value["blobs"]]
    except (ValueError, TypeError, LookupError) as error:
        raise StoreDamaged(f"cannot be read: {error}", place=str(path), hint=_AGAIN) from error
    for digest, size in blobs:
        _check_blob(blob_path(path.parent, digest), size)
    return compose(path, head, blobs)


def compose(path: Path, head: bytes, blobs: Sequence[tuple[str, int]]) -> Stored:
    """The medium of a head and of blobs (digest, size) that lie in the folder of `path`."""
    pieces: list[tuple[int, Piece]] = [(len(head), head)]
    for digest, size in blobs:
        name = header(media.BLOBS + digest.removeprefix("sha256:"), size)
        pieces += [(len(name), name), (size, blob_path(path.parent, digest)), (padding(size), bytes(padding(size)))]
    pieces.append((len(END), END))
    starts, at = list[int](), 0
    kept = [(size, piece) for size, piece in pieces if size]
    for size, _ in kept:
        starts.append(at)
        at += size
    return Stored(path, tuple(starts), tuple(piece for _, piece in kept), at)


def blob_path(folder: Path, digest: str) -> Path:
    """Where the blob of a digest lies in a store. ValueError if it is none."""
    name = digest.removeprefix("sha256:")
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise ValueError(f"{digest[:80]!r} is no digest")
    return folder / BLOBS / name


def _check_blob(path: Path, size: int) -> None:
    """A blob that lacks or has another size is told before anything is read. Its digest is compared as it is read."""
    try:
        found = path.lstat().st_size
    except OSError as error:
        raise StoreDamaged("a blob is not in the store any more", place=str(path), hint=_AGAIN) from error
    if found != size:
        raise StoreDamaged(f"expected {size} bytes, got {found}", place=str(path), hint=_AGAIN)


def recipe(head: bytes, blobs: Sequence[tuple[str, int]]) -> bytes:
    """The content of a file `….stored`."""
    value: dict[str, Any] = {"schema": SCHEMA, "head": head.hex(), "blobs": [list(blob) for blob in blobs]}
    return json.dumps(value).encode()
