"""Taking a bundle in: its blobs by digest, each once across releases, so that the medium can leave the site again."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploybundle.errors import SiteError
from deploybundle.open import Bundle
from deploybundle.open.medium import Reading, read_at
from deploybundle.open.stored import BLOBS, SUFFIX, blob_path, recipe
from deploybundle.open.streams import CHUNK
from deploybundle.whole import write_whole

ROOM = 16 << 20
"""Bytes that stay free beside what is written."""
PARTIAL = ".partial-"
DELTA = ".delta.bundle.tar"
Progress = Callable[[int, int], None]


class NoRoom(SiteError):
    """The store's disk has too little room for what a bundle adds to it.

    Make room with `deployctl prune`, or install straight from the medium: that needs no room here.
    """

    code = "no-room"


@dataclass(frozen=True)
class Taken:
    """What was taken in, as `path`. Bytes: `copied` now, `kept` because they were there."""

    path: Path
    copied: int
    kept: int


def take(bundle: Bundle, folder: Path, progress: Progress | None = None) -> Taken:
    """Copy what the store at `folder` lacks of a bundle, each blob checked on its way, whole or not at all.

    Raises NoRoom before the first byte is written (later only if somebody else fills the disk meanwhile), BlobDamaged if the
    medium gives other bytes than were signed. What was copied when it is interrupted counts the next time.
    """
    (folder / BLOBS).mkdir(parents=True, exist_ok=True)
    try:
        with alone(folder):
            return _take(bundle, folder, progress)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _sweep(folder)
        hint = "free some space there and run it again: what was copied counts"
        raise NoRoom("the disk was filled by somebody else meanwhile", place=str(folder), hint=hint) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One at a time takes bundles in, or lets go of them. A folder that is not there holds nothing to be let go."""
    if not folder.is_dir():
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _take(bundle: Bundle, folder: Path, progress: Progress | None) -> Taken:
    _sweep(folder)
    if bundle.delta is not None:
        return _take_delta(bundle, folder)
    own = sorted(((at.offset, digest, at.size) for digest, at in bundle.blobs.items() if at.medium == bundle.medium))
    blobs = [(digest, size) for _, digest, size in own]
    missing = [(digest, size) for digest, size in blobs if not _there(blob_path(folder, digest), size)]
    total = sum(size for _, size in missing)
    _check_room(folder, total)
    done = 0
    for digest, size in missing:
        _copy(bundle, digest, blob_path(folder, digest))
        done += size
        if progress:
            progress(done, total)
    path = folder / f"{_stem(bundle)}{SUFFIX}"
    write_whole(path, recipe(bundle.head, blobs))
    return Taken(path, total, sum(size for _, size in blobs) - total)


def _take_delta(bundle: Bundle, folder: Path) -> Taken:
    """A delta is small and shares no blobs: it is copied as it is."""
    path = folder / f"{_stem(bundle)}{DELTA}"
    if _there(path, bundle.size):
        return Taken(path, 0, bundle.size)
    _check_room(folder, bundle.size)
    partial = folder / BLOBS / f"{PARTIAL}delta"
    with Reading(bundle.medium) as source, partial.open("wb") as target:
        for at in range(0, bundle.size, CHUNK):
            target.write(read_at(source, at, min(CHUNK, bundle.size - at)))
        target.flush()
        os.fsync(target.fileno())
    partial.replace(path)
    return Taken(path, bundle.size, 0)


def _stem(bundle: Bundle) -> str:
    return f"{bundle.name}-{bundle.version}-{bundle.index_digest.removeprefix('sha256:')[:12]}"


def _sweep(folder: Path) -> None:
    """What a killed run left half."""
    for path in [*(folder / BLOBS).glob(f"{PARTIAL}*"), *folder.glob("*.partial")]:
        path.unlink(missing_ok=True)


def _there(path: Path, size: int) -> bool:
    try:
        return path.lstat().st_size == size
    except OSError:
        return False


def _check_room(folder: Path, total: int) -> None:
    free = shutil.disk_usage(folder).free
    if total and free < total + ROOM:
        what = f"{free} bytes free, {total + ROOM} needed"
        raise NoRoom(what, place=str(folder), hint=f"free {total + ROOM - free} bytes there, for instance: deployctl prune")


def _copy(bundle: Bundle, digest: str, path: Path) -> None:
    partial = path.with_name(f"{PARTIAL}{path.name}")
    with bundle.open(digest) as source, partial.open("wb") as target:
        while chunk := source.read(CHUNK):
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    partial.replace(path)
