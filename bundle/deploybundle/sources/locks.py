"""A pip lock file, read for another Python than this one.

`pip download --python-version` evaluates markers by the Python that runs it, so they are resolved here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pinned:
    """One line of a lock: a project at one version, and the digests of its files."""

    name: str
    version: str
    digests: frozenset[str]

    @property
    def line(self) -> str:
        """As pip reads it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{digest}" for digest in sorted(self.digests))])


def read_lock(lock: Path, python: str) -> list[Pinned]:
    """What the lock pins on Linux, x86-64, with CPython `python` ("3.11")."""
    text = lock.read_text().replace("\\\n", " ")
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return list(_pinned(lines, _markers(python)))


def _pinned(lines: Iterator[str], markers: dict[str, str]) -> Iterator[Pinned]:
    for line in lines:
        wanted = Requirement(line.partition("--hash=")[0].strip())
        if wanted.marker is None or wanted.marker.evaluate(markers):
            version = str(wanted.specifier).removeprefix("==")
            yield Pinned(canonicalize_name(wanted.name), version, frozenset(_HASH.findall(line)))


def _markers(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "extra": "",
    }
