"""Open a file below the permitted folders, and nothing else.

First the path alone is opened (O_PATH: no device is touched, no pipe's writer wakes up), then what was opened is asked where it
really lies and what it is, and that very file is read. Nobody can exchange it in between, by a link or a rename.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from collector.sources import SourceError


def plain_path(value: str) -> str:
    """An absolute path without `.`, `..` or doubled slashes. Which folders are permitted is asked when it is opened."""
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or str(path) != value or "\0" in value:
        raise ValueError("must be an absolute path without '.', '..' or doubled slashes")
    return value


def open_below(path: str, folders: Iterable[Path]) -> int:
    """A file descriptor for reading; the caller closes it. Raises SourceError."""
    folders = tuple(folders)
    refuse_outside(path, Path(path), folders)
    with place_of(path) as place:
        check_place(path, place, folders)
        return reopened(path, place)


@contextmanager
def place_of(path: str) -> Iterator[int]:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise cannot(path, error) from None
    try:
        yield place
    finally:
        os.close(place)


def check_place(path: str, place: int, folders: Iterable[Path]) -> None:
    refuse_outside(path, real_path(place), (folder.resolve() for folder in folders))
    if not stat.S_ISREG(os.fstat(place).st_mode):
        raise SourceError(f"{path}: is not a regular file")


def real_path(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


def refuse_outside(path: str, where: Path, folders: Iterable[Path]) -> None:
    if ".." in where.parts or not any(where.is_relative_to(folder) for folder in folders):
        raise SourceError(f"{path}: is not below a permitted folder")


def reopened(path: str, place: int) -> int:
    try:
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise cannot(path, error) from None


def cannot(path: str, error: OSError | ValueError) -> SourceError:
    return SourceError(f"{path}: cannot be opened: {error.strerror if isinstance(error, OSError) else error}")
