"""A file that is either whole or not there."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploybundle.pack.problems import BuildRunning, CannotBundle, NoSpace


@contextmanager
def partial(out: Path) -> Iterator[tuple[int, Path]]:
    """An open file beside `out`, and its path: renamed to `out` once all is written and synced, removed on any failure.

    After a kill -9 `.partial` stays, which nobody takes for a bundle; the next build writes it anew.
    """
    path = out.with_name(out.name + ".partial")
    try:
        file = _claim(path)
    except OSError as error:
        raise CannotBundle(f"cannot be written: {error.strerror}", place=str(path)) from error
    try:
        yield file, path
        os.fsync(file)
        path.replace(out)
        _sync_folder(out.parent)
    except BaseException as error:  # Ctrl-C too
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "free some space, or name another folder; nothing was left behind"
            raise NoSpace(f"the disk is full after {os.fstat(file).st_size} bytes", place=str(out), hint=hint) from error
        raise
    finally:
        os.close(file)


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
