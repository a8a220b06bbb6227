"""A bundle in numbered parts: their list says how many, how long, and the SHA-256 of each, in the spelling of sha256sum.

    # deployctl parts 1: 9663676416 bytes, 4294966784 each
    <64 hex>  collector-1.0.0.bundle.tar.001
    <64 hex>  collector-1.0.0.bundle.tar.002
    <64 hex>  collector-1.0.0.bundle.tar.003

`sha256sum -c` reads it, too. It is not signed, nor need it be: what the parts hold is.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploybundle.open.medium import Medium, Parts
from deploybundle.open.problems import AGAIN, BundleDamaged, BundleTruncated, NotABundle, PartDamaged, PartMissing

SUFFIX = ".parts"
MOST = 999
LIST_LIMIT = 1 << 20
_HEAD = re.compile(r"# deployctl parts 1: ([1-9][0-9]{0,15}) bytes, ([1-9][0-9]{0,15}) each")
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\x00-\x1f\\]{1,240})")


@dataclass(frozen=True)
class PartList:
    """What the list says: sizes in bytes, and each part's name and SHA-256 (hex)."""

    path: Path
    size: int
    each: int
    parts: tuple[tuple[str, str], ...]

    def size_of(self, number: int) -> int:
        """The size of a part, which count from 0."""
        return min(self.each, self.size - number * self.each)


def name_of(stem: str, number: int) -> str:
    """The name of a part, which count from 1 in names."""
    return f"{stem}.{number:03}"


def text_of(size: int, each: int, parts: Sequence[tuple[str, str]]) -> str:
    """The list."""
    lines = [f"# deployctl parts 1: {size} bytes, {each} each", *(f"{digest}  {name}" for name, digest in parts)]
    return "".join(f"{line}\n" for line in lines)


def read_list(path: Path) -> PartList:
    """The list, checked: one spelling. BundleDamaged if it is anything else."""
    with path.open("rb") as file:
        data = file.read(LIST_LIMIT)
    lines = data.decode("ascii", "replace").split("\n")
    head, found = _HEAD.fullmatch(lines[0]), [_LINE.fullmatch(line) for line in lines[1:-1]]
    if head and all(found):
        size, each = int(head[1]), int(head[2])
        parts = tuple((match[2], match[1]) for match in found if match)
        names = [name_of(path.name.removesuffix(SUFFIX), number) for number in range(1, len(parts) + 1)]
        if [name for name, _ in parts] == names and len(parts) == -(-size // each) <= MOST and lines[-1] == "":
            return PartList(path, size, each, parts)
    raise BundleDamaged("is no list of a bundle's parts", place=str(path), hint=AGAIN)


def find_parts(path: Path, media: Sequence[Path] = ()) -> Parts:
    """The parts of a list, each where it is found: beside the list, or in one of the folders `media`.

    PartMissing names all that are not there or are cut short.
    """
    listed = read_list(path)
    found = [_find(listed, number, [path.parent, *media]) for number in range(len(listed.parts))]
    missing = [f"{listed.parts[number][0]} ({number + 1} of {len(found)})" for number, file in enumerate(found) if not file]
    if missing:
        hint = "copy these to the list's folder again; the others are there"
        raise PartMissing(f"not there, or cut short: {', '.join(missing)}", place=str(path), hint=hint)
    return Parts(path, tuple(file for file in found if file), listed.each, listed.size)


def _find(listed: PartList, number: int, folders: Sequence[Path]) -> Path | None:
    files = (folder / listed.parts[number][0] for folder in folders)
    return next((file for file in files if file.is_file() and file.stat().st_size == listed.size_of(number)), None)


@contextmanager
def part_named(medium: Medium) -> Iterator[None]:
    """Where a bundle in parts turns out to be damaged: which part, so that it alone is copied again."""
    try:
        yield
    except (BundleDamaged, BundleTruncated, NotABundle) as error:
        if isinstance(medium, Parts) and (found := _damaged(medium)):
            raise found from error
        raise


def _damaged(medium: Parts) -> PartDamaged | None:
    """The parts that are not those of the list; None if all are: then the vendor's were wrong."""
    listed = read_list(medium.path)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        pairs = zip(pool.map(_sha256, medium.files), listed.parts, medium.files, strict=True)
        wrong = [str(file) for digest, (_, expected), file in pairs if digest != expected]
    if not wrong:
        return None
    hint = "copy these again; the others need not be"
    return PartDamaged(
        f"{len(wrong)} of {len(listed.parts)} parts damaged: {', '.join(wrong)}", place=str(medium.path), hint=hint
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
