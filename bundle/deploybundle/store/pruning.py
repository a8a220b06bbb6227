"""Letting go of what nobody needs: only deletes, so that it works on a full disk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from deploybundle.errors import DeployctlError
from deploybundle.open.stored import BLOBS, SUFFIX, Stored, find_stored
from deploybundle.store.taking import DELTA, alone


@dataclass(frozen=True)
class Pruned:
    """What was, or would be, let go: releases by their files' names, blobs with rebuilt layers, and how many bytes."""

    releases: tuple[str, ...]
    blobs: int
    freed: int


def prune(
    folder: Path, keep: Collection[str], *, rebuilt: Path | None = None, layers: Collection[str] = (), only_tell: bool = False
) -> Pruned:
    """Delete the releases of a store whose index digests are not in `keep`, then each blob that no other release has.

    Of the rebuilt layers in the folder `rebuilt` those stay whose diffIDs are in `layers`. A release that cannot be read is let
    go as well, its blobs only if no other has them. First the releases go, then their blobs: whoever is interrupted leaves
    blobs too many, never too few, and the next run takes them. Waits for whoever takes a bundle in.
    """
    with alone(folder):
        return _prune(folder, keep, rebuilt, layers, only_tell)


def _prune(folder: Path, keep: Collection[str], rebuilt: Path | None, layers: Collection[str], only_tell: bool) -> Pruned:
    gone, needed = list[Path](), set[Path]()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        stored = _read(path)
        if stored is not None and _kept(path, keep):
            needed.update(piece for piece in stored.pieces if isinstance(piece, Path))
        else:
            gone.append(path)
    gone += [path for path in sorted(folder.glob(f"*{DELTA}")) if not _kept(path, keep)]
    left = [path for path in sorted((folder / BLOBS).glob("*")) if path not in needed]
    left += [path for path in sorted(rebuilt.glob("*")) if f"sha256:{path.name[:64]}" not in layers] if rebuilt else []
    freed = sum(path.lstat().st_size for path in (*left, *gone))
    if not only_tell:
        for path in [*gone, *left]:
            path.unlink(missing_ok=True)
    return Pruned(tuple(path.name for path in gone), len(left), freed)


def _kept(path: Path, keep: Collection[str]) -> bool:
    short = path.name.removesuffix(DELTA).removesuffix(SUFFIX).rpartition("-")[2]
    return any(digest.removeprefix("sha256:").startswith(short) for digest in keep)


def _read(path: Path) -> Stored | None:
    try:
        return find_stored(path)
    except DeployctlError:
        return None
