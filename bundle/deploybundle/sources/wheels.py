"""Wheels for a site's Python, fetched once by digest; what is cached is checked again and never fetched again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploybundle.errors import InputError

from .locks import Pinned, read_lock

PYTHONS = ("3.11", "3.13")
"""The Pythons of the targets: Debian 12's and 13's."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64")
"""Debian 12 has glibc 2.36."""


class WheelsNotFetched(InputError):
    """pip could not bring the wheels that the lock names.

    Look at pip's own words: the index must be reachable from the vendor's machine. What was fetched once is kept.
    """

    code = "wheels-not-fetched"


def wheels(python: str, lock: Path, cache: Path) -> list[Path]:
    """The wheels that `lock` pins for `python` on a target, sorted by name; their digests hold."""
    return _fetched(read_lock(lock, python), python, cache / "wheels")


def pip_wheel(lock: Path, cache: Path) -> Path:
    """pip's own wheel, which installs the others where there is no pip."""
    return _fetched(read_lock(lock, PYTHONS[0]), PYTHONS[0], cache / "wheels")[0]


def _fetched(pinned: Sequence[Pinned], python: str, cache: Path) -> list[Path]:
    folder = cache / f"py{python}-{_digest(pinned)}"
    found = checked(folder, pinned)
    if found is None:
        _fetch(pinned, python, folder)
        found = checked(folder, pinned)
    if found is None:
        raise WheelsNotFetched("pip brought other files than the lock names", place=str(folder))
    return found


def _digest(pinned: Sequence[Pinned]) -> str:
    text = "\n".join([*PLATFORMS, *(entry.line for entry in pinned)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def checked(folder: Path, pinned: Sequence[Pinned]) -> list[Path] | None:
    """The folder's wheels if each pinned project has one with a digest of its own; otherwise None."""
    files = {sha256_of(path): path for path in sorted(folder.glob("*.whl"))}
    found = [next((files[digest] for digest in entry.digests if digest in files), None) for entry in pinned]
    wanted = [path for path in found if path is not None]
    return sorted(wanted) if len(wanted) == len(pinned) == len(files) else None


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(pinned: Sequence[Pinned], python: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        requirements, fresh = Path(work) / "lock.txt", Path(work) / "wheels"
        requirements.write_text("".join(f"{entry.line}\n" for entry in pinned))
        done = subprocess.run(_command(requirements, fresh, python), capture_output=True, text=True, check=False)
        if done.returncode:
            raise _not_fetched(done.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def _command(requirements: Path, folder: Path, python: str) -> list[str]:
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    return [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
        *platforms, "--python-version", python, "--implementation", "cp",
        "--dest", str(folder), "--requirement", str(requirements),
    ]  # fmt: skip


def _not_fetched(stderr: str) -> WheelsNotFetched:
    lines = [line for line in stderr.strip().splitlines() if line.startswith("ERROR")] or stderr.strip().splitlines()[-3:]
    hint = "the first bundle needs a package index; later ones find the wheels again"
    return WheelsNotFetched("; ".join(lines) or "pip failed", place="pip download", hint=hint)
