"""Folders in memory for what holds secrets while a run lasts; what a killed run left goes with the next one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "deployctl-work-"


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder of mode 0700, in memory where the system has such, gone afterwards; also those that killed runs left."""
    memory = Path("/dev/shm")  # noqa: S108 — memory; mkdtemp makes a private folder in it
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _claimed(left):
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=base) as folder, _claimed(Path(folder)):
        yield Path(folder)


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Ours while we live; BlockingIOError if it is somebody else's who lives."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
