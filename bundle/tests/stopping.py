"""Stopping work for real: a child of ours that gets a signal, or finds the disk full, at its n-th step on the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

EVENTS = frozenset({"open", "os.rename", "os.remove", "os.link", "os.truncate", "os.mkdir"})
CALLS = ("pwrite", "fsync", "ftruncate")
STOPPED = 3


def stopped_at(step: int, signum: int, below: Path, work: Callable[[], object]) -> bool:
    """Run `work` in a child that gets the signal at its n-th step below a folder. Whether it came so far."""
    child = os.fork()
    if child == 0:
        _child(step, signum, str(below), work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) in (0, STOPPED), status
    return os.WEXITSTATUS(status) == STOPPED


def _child(step: int, signum: int, below: str, work: Callable[[], object]) -> None:
    left = [step]
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signum)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS and any(isinstance(one, (str, os.PathLike)) and str(one).startswith(below) for one in arguments):
            count()

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments: (count(), real(*arguments))[1]

    for name in CALLS:  # these have no audit event
        setattr(os, name, counted(getattr(os, name)))
    sys.addaudithook(hook)
    code = 1
    try:
        work()
        code = 0
    except KeyboardInterrupt:
        code = STOPPED
    except BaseException:  # a child that must not go on as a test
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of so many bytes at a folder. Only root may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk to the last byte."""
    path = folder / "somebody-elses"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path
