"""Layers that travelled as patches: made again, proven by their diffID, and kept compressed, once."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from deploybundle.errors import SiteError
from deploybundle.open import Bundle, Layer, Patch
from deploybundle.open.around import rebuilt_name
from deploybundle.open.patch import apply
from deploybundle.open.problems import AGAIN, BlobDamaged
from deploybundle.open.streams import CHUNK, region

LEVEL = 3


class StoreFull(SiteError):
    """The disk that holds the store has too little room.

    Free some space there and run the same command again; what was there before is untouched.
    """

    code = "store-full"


def rebuild(bundle: Bundle, folder: Path) -> None:
    """Make every pending layer of a delta again, below `folder`. Each is there whole or not at all.

    BlobDamaged if a patch does not make the layer that the release's signed index names; StoreFull.
    """
    folder.mkdir(parents=True, exist_ok=True)
    layers = {layer.diff_id: layer for image in bundle.images.values() for layer in image.layers}
    try:
        for patch in bundle.pending:
            _rebuild(bundle, patch, layers[patch.diff_id], folder)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "free some space there and run again; nothing was changed"
        raise StoreFull("has too little room to rebuild layers", place=str(folder), hint=hint) from error


def _rebuild(bundle: Bundle, patch: Patch, layer: Layer, folder: Path) -> None:
    """The old tar lies unpacked in a file without a name while this goes on."""
    with _base(bundle, patch, folder) as old, tempfile.NamedTemporaryFile(dir=folder, suffix=".partial") as out:
        with zstandard.ZstdCompressor(level=LEVEL, threads=-1).stream_writer(out, size=layer.raw_size, closefd=False) as frame:
            for chunk in _raw(bundle, patch, layer, old):
                frame.write(chunk)
        out.seek(0)
        digest = f"sha256:{hashlib.file_digest(out, 'sha256').hexdigest()}"
        os.fsync(out.fileno())
        target = folder / rebuilt_name(layer.diff_id, digest)
        target.unlink(missing_ok=True)
        os.link(out.name, target)


def _raw(bundle: Bundle, patch: Patch, layer: Layer, old: BinaryIO) -> Iterator[bytes]:
    with bundle.open(patch.blob) as blob:
        while blob.read(CHUNK):
            pass  # the patch is proven before a byte of it is understood
    at, place = bundle.locate(patch.blob), f"{bundle.path}: patch {patch.blob}"
    found, size = hashlib.sha256(), 0
    chunks = apply(lambda o, n: region(at, o, n), at.size, lambda o, n: os.pread(old.fileno(), n, o), place)
    for chunk in chunks:
        found.update(chunk)
        size += len(chunk)
        if size > layer.raw_size:
            break
        yield chunk
    if size != layer.raw_size or f"sha256:{found.hexdigest()}" != layer.diff_id:
        what = f"expected {layer.raw_size} bytes of {layer.diff_id}, got {size} of sha256:{found.hexdigest()}"
        raise BlobDamaged(what, place=place, hint=AGAIN)


def _base(bundle: Bundle, patch: Patch, folder: Path) -> BinaryIO:
    for base in bundle.bases:
        for layer in (layer for image in base.images.values() for layer in image.layers):
            if layer.diff_id == patch.base:
                return _unpacked(base, layer, folder)
    raise BlobDamaged(f"no base holds the layer {patch.base}", place=str(bundle.path), hint=AGAIN)


def _unpacked(base: Bundle, layer: Layer, folder: Path) -> BinaryIO:
    file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115  (its user closes it)
    try:
        with base.open_layer(layer) as stream:
            while chunk := stream.read(CHUNK):
                file.write(chunk)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file
