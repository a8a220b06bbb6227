"""The project's files, written out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploybundle.open import media
from deploybundle.open.bundle import Bundle
from deploybundle.open.names import check_name
from deploybundle.open.problems import FolderTaken
from deploybundle.open.streams import CHUNK
from deploybundle.open.types import Descriptor


def extract_files(bundle: Bundle, dest: Path) -> None:
    """Write the project's files below `dest`, which must be empty or not there. Mode 0644, or 0755 where one was executable.

    FolderTaken if something is there already; BlobDamaged if a file's bytes are not those that were signed.
    """
    dest.mkdir(parents=True, exist_ok=True)
    if any(dest.iterdir()):
        raise FolderTaken("expected an empty folder", place=str(dest), hint="name a new folder")
    for name, descriptor in bundle.files.items():
        _write(bundle, descriptor, dest / check_name(name, str(bundle.path)))


def _write(bundle: Bundle, descriptor: Descriptor, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if media.EXECUTABLE in descriptor.annotations else 0o644
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as out, bundle.open(descriptor.digest) as blob:
        os.fchmod(out.fileno(), mode)
        shutil.copyfileobj(blob, out, CHUNK)
