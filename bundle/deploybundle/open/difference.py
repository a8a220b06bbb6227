"""What one bundle has and another has not: images, software, files, and the bytes that have to be carried. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from deploybundle.open.boms import Software, software
from deploybundle.open.bundle import Bundle

Word = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Change:
    """One thing that differs: `before` and `after` are versions, digests or sizes in bytes, empty where it is not there."""

    what: Word
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """From one release to another. `carry`: bytes of the second's blobs that the first has not, of `size` in all."""

    images: tuple[Change, ...]
    software: tuple[Change, ...]
    files: tuple[Change, ...]
    targets: tuple[Change, ...]
    carry: int
    size: int


def difference(one: Bundle, other: Bundle) -> Difference:
    """What is other in `other`. NoBom if either says nothing of its software."""
    new = {digest: at.size for digest, at in other.blobs.items() if digest not in one.blobs}
    return Difference(
        images=_changes(_images(one), _images(other)),
        software=_changes(_versions(software(one)), _versions(software(other))),
        files=_changes(_files(one), _files(other)),
        targets=_changes(_packages(one), _packages(other)),
        carry=sum(new.values()),
        size=sum(at.size for at in other.blobs.values()),
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            found.append(Change("changed" if old and new else "added" if new else "removed", name, old, new))
    return tuple(found)


def _images(bundle: Bundle) -> dict[str, str]:
    return {ref: image.config_digest for ref, image in bundle.images.items()}


def _versions(found: Iterable[Software]) -> dict[str, str]:
    """By kind and name; what a release has in two versions says both."""
    versions: dict[str, list[str]] = {}
    for one in found:
        versions.setdefault(f"{one.kind}:{one.name}", []).append(one.version)
    return {name: ", ".join(dict.fromkeys(sorted(listed))) for name, listed in versions.items()}


def _files(bundle: Bundle) -> dict[str, str]:
    kinds = ("files", "tools", "trust")
    return {f"{kind}/{name}": blob.digest for kind in kinds for name, blob in bundle.kinds.get(kind, {}).items()}


def _packages(bundle: Bundle) -> dict[str, str]:
    kinds = {kind.removeprefix("packages-"): members for kind, members in bundle.kinds.items() if kind.startswith("packages-")}
    return {target: members["Packages"].digest for target, members in kinds.items() if "Packages" in members}
