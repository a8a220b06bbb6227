"""The repositories of a bundle: packages for hosts that lack an engine, one repository a target."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploybundle.open.bundle import Bundle
from deploybundle.open.problems import AGAIN, BundleDamaged
from deploybundle.open.types import Descriptor

INDEX = ("InRelease", "Packages", "key.asc")
"""What a repository holds besides packages."""

_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", re.MULTILINE)
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)")


@dataclass(frozen=True)
class Package:
    """One package: `file` is its name in the repository, `unpacked` what it takes on a disk, in bytes."""

    name: str
    version: str
    file: str
    size: int
    unpacked: int
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Repository:
    """A target's packages by name, and all of the repository's files by theirs."""

    target: str
    packages: dict[str, Package]
    files: dict[str, Descriptor]

    def closure(self, names: Iterable[str]) -> list[Package]:
        """These packages with all that they need out of this repository, by name. What it lacks, the system has."""
        found: dict[str, Package] = {}
        left = [name for name in names if name in self.packages]
        while left:
            package = self.packages[left.pop()]
            if package.name not in found:
                found[package.name] = package
                left += [name for name in package.needs if name in self.packages]
        return [found[name] for name in sorted(found)]


def repositories(bundle: Bundle) -> dict[str, Repository]:
    """The bundle's repositories by target. Raises BundleDamaged when one is not what it says."""
    kinds = {kind.removeprefix("packages-"): kind for kind in bundle.kinds if kind.startswith("packages-")}
    return {target: _repository(bundle, target, bundle.kinds[kind]) for target, kind in kinds.items()}


def _repository(bundle: Bundle, target: str, files: dict[str, Descriptor]) -> Repository:
    try:
        text = bundle.read(files["Packages"].digest).decode()
        found = [_package(dict(_FIELD.findall(stanza)), files) for stanza in text.split("\n\n") if stanza.strip()]
    except (LookupError, ValueError) as error:
        raise BundleDamaged(f"packages-{target}: not a repository: {error!r}", place=str(bundle.path), hint=AGAIN) from error
    return Repository(target, {package.name: package for package in found}, files)


def _package(said: dict[str, str], files: dict[str, Descriptor]) -> Package:
    file = said["Filename"].removeprefix("./")
    needs = re.split(r"[,|]", f"{said.get('Depends', '')},{said.get('Pre-Depends', '')}")
    names = tuple(found[1] for need in needs if (found := _NAME.match(need)))
    unpacked = int(said.get("Installed-Size", "0")) << 10
    return Package(said["Package"], said["Version"], file, files[file].size, unpacked, names)
