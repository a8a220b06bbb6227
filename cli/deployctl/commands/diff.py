"""deployctl diff: what one bundle has and another has not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.open import Change, Difference, difference
from deployctl.commands import show
from deployctl.commands.options import Json
from deployctl.commands.verify import Key, trusted

NAME = "diff"
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
Before = Annotated[Path, typer.Argument(help="The bundle of before.", metavar="A")]
After = Annotated[Path, typer.Argument(help="The bundle that it is compared with.", metavar="B")]


def command(before: Before, after: After, key: Key = None, as_json: Json = False) -> None:
    """Show what is new in B: images, software and its versions, files, packages for hosts, and the bytes to carry.

    Example: deployctl diff dist/collector-1.0.0.bundle.tar dist/collector-1.1.0.bundle.tar
    """
    one, other = trusted(before, key), trusted(after, key)
    found = difference(one, other)
    if as_json:
        show.data({"from": _named(one.name, one.version), "to": _named(other.name, other.version), **asdict(found)})
        return
    show.out(f"{one.name} {one.version} → {other.name} {other.version}")
    show.out("\n".join(_shown(found)))


def _named(name: str, version: str) -> dict[str, str]:
    return {"name": name, "version": version}


def _shown(found: Difference) -> Iterator[str]:
    for title, changes, digests in (
        ("images", found.images, True), ("software", found.software, False),
        ("files", found.files, True), ("packages for hosts", found.targets, True),
    ):  # fmt: skip
        yield f"{title}: {'' if changes else 'the same'}"
        yield from (f"  {_line(change, digests)}" for change in changes)
    yield f"to carry: {show.size(found.carry)} of {show.size(found.size)}"


def _line(change: Change, digests: bool) -> str:
    before, after = (text[7:19] if digests else text for text in (change.before, change.after))
    return f"{SIGNS[change.what]} {change.name}  {' → '.join(word for word in (before, after) if word)}"
