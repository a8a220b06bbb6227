"""Names of files that a bundle carries: relative, plain, and never one within another."""

from __future__ import annotations

from collections.abc import Iterable

from deploybundle.open.problems import AGAIN, HostileName


def check_name(name: str, place: str) -> str:
    """The name, if it is a relative path that stays in its folder. HostileName otherwise."""
    parts = name.split("/")
    try:
        long = any(len(part.encode()) > 255 for part in parts) or len(name.encode()) > 4000
    except UnicodeEncodeError:
        long = True
    if long or not name.isprintable() or "\\" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise HostileName(f"a name that no file may have: {ascii(name)[:120]}", place=place, hint=AGAIN)
    return name


def check_names(names: Iterable[str], place: str) -> None:
    """HostileName unless all are good names, each stands once, in order, and none is a folder of another."""
    found = [check_name(name, place) for name in names]
    files = set(found)
    if found != sorted(files):
        raise HostileName("names that stand twice or out of order", place=place, hint=AGAIN)
    for name in found:
        for end in (at for at, letter in enumerate(name) if letter == "/"):
            if name[:end] in files:
                raise HostileName(f"{name[:end]!r} is a file and a folder", place=place, hint=AGAIN)
