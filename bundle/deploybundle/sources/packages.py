"""Packages of the hosts' own system: what a bare host needs so that the product can run on it.

A system is a module with `resolve` and `repository`: debian.py is one, and one for rpm can stand beside it. A bundle
holds one repository a target, whole by itself; files that two targets share are one blob.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploybundle.errors import InputError


@dataclass(frozen=True)
class Pinned:
    """A file whose digest and size in bytes are known before it is read."""

    path: Path
    digest: str
    size: int


@dataclass(frozen=True)
class Closure:
    """Packages that fit together, resolved against one release of a distribution. `as_of`: that release's own date.

    `stanzas` are what the distribution says of each, `files` the packages themselves, in the same order.
    """

    target: str
    as_of: str
    stanzas: tuple[str, ...]
    files: tuple[Pinned, ...]

    @property
    def size(self) -> int:
        """Bytes of all packages."""
        return sum(file.size for file in self.files)


Members = Mapping[str, Path | Pinned]


class PackagesNotFetched(InputError):
    """apt on the vendor's machine could not bring the packages of a target.

    The first bundle with `targets` needs a mirror of Debian in reach; later ones take what was kept. apt's own words are in
    the message.
    """

    code = "packages-not-fetched"
