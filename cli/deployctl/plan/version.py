"""Which of two releases is older, by their versions: an old one that is brought back must be brought back on purpose.

Semantic Versioning 2.0, clause 11; a version of another kind is compared by its numbers and words from the left.
"""

from __future__ import annotations

import re

_PIECES = re.compile(r"[0-9]+|[a-zA-Z]+")
_BEFORE = re.compile(r"-|(?<=[0-9])[._]?(?=(?:a|b|c|rc|alpha|beta|pre|preview|dev)[._]?[0-9]*$)", re.IGNORECASE)
Piece = tuple[int, int, str]


def older(version: str, installed: str) -> bool:
    """Whether `version` comes before `installed`."""
    return _order(version) < _order(installed)


def _order(version: str) -> tuple[list[Piece], bool, list[Piece]]:
    """What stands before a hyphen, or before PEP 440's rc1; then whether it is the final one; then the rest."""
    release, *before = _BEFORE.split(version.partition("+")[0], maxsplit=1)
    return _stripped(_pieces(release)), not before, _pieces("".join(before))


def _pieces(text: str) -> list[Piece]:
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece.lower()) for piece in _PIECES.findall(text)]


def _stripped(pieces: list[Piece]) -> list[Piece]:
    """1.0 is 1.0.0."""
    while pieces and pieces[-1] == (0, 0, ""):
        pieces.pop()
    return pieces
