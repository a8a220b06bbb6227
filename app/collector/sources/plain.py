"""CSV in which nothing needs care: whole pieces at once, without looking at single values. As a text of JSON Lines is the same
values between other punctuation, one split and one join make it.
"""

from collections.abc import Iterator, Sequence
from typing import TypedDict

import orjson

from collector.sources import BATCH_ROWS, Batch
from collector.sources.records import before_values


class Dialect(TypedDict):
    delimiter: str
    quotechar: str
    escapechar: str | None


def cells(piece: str, width: int, dialect: Dialect) -> list[str] | None:
    """The values of whole lines, and a line feed after those of each. None where Python's csv must look: at quotes, escapes,
    a lone CR, empty lines, a line of another width, and characters that JSON does not have as they are."""
    delimiter, piece = dialect["delimiter"], piece.replace("\r\n", "\n")
    if width < 2 or not piece.endswith("\n") or not as_it_is(piece, dialect):
        return None
    found = piece.replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)[:-1]
    ends = found[width :: width + 1]
    return found if ends == ["\n"] * piece.count("\n") and len(found) == len(ends) * (width + 1) else None


def as_it_is(piece: str, dialect: Dialect) -> bool:
    """Whether JSON escapes only the line feeds (and tabs that divide), and CSV nothing."""
    if dialect["quotechar"] in piece or (dialect["escapechar"] or "\n\n") in piece:
        return False
    size = len(piece) if piece.isascii() else len(piece.encode())
    expected = piece.count("\n") + (piece.count("\t") if dialect["delimiter"] == "\t" else 0)
    return len(orjson.dumps(piece)) == size + 2 + expected


def batches(found: Sequence[str], names: Sequence[str]) -> Iterator[Batch]:
    """What `cells` gave as records with these names."""
    between = [*before_values(names), '"}']
    step = BATCH_ROWS * len(between)
    for start in range(0, len(found), step):
        values = found[start : start + step]
        count = len(values) // len(between)
        parts = [""] * (2 * len(values))
        parts[::2], parts[1::2] = between * count, values
        yield Batch("".join(parts), count)
