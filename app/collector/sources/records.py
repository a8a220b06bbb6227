"""Many records at once, from what a parser gives to the lines of JSON that a batch is.

What PostgreSQL's jsonb cannot hold is refused here: NUL, lone surrogates, infinite numbers and all too fine ones.
JSON that came as JSON passes unchanged, so that no digit of a number is lost.
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from itertools import chain
from typing import Any

import orjson

from collector.sources import Batch, Context, SourceError

DIGITS = 16383
"""After the point, in a numeric of PostgreSQL (its documentation, 8.1.2)."""
FINE = re.compile(rb"[eE]-[0-9]{5}|[0-9]{%d}" % DIGITS)

Place = Callable[[int], str]
"""What the record of this index within the batch is called in an error."""


def texts(records: Sequence[dict[str, Any]], place: Place) -> Batch:
    """Each record as one line of JSON. Raises SourceError with the place of the first that has no JSON form."""
    try:
        lines = list(map(orjson.dumps, records))
    except TypeError:
        raise SourceError(first_error(records, place)) from None
    return fit(lines, place)


def objects(names: Sequence[str], rows: Sequence[Sequence[str]], place: Place) -> Batch:
    """The same for records of text that share their names, several times as fast: all values become JSON at once.

    Within a string of JSON a quote stands behind a backslash, so `","` is nowhere but between two values.
    """
    try:
        values = orjson.dumps(list(chain.from_iterable(rows)))[2:-2].decode().split('","')
    except TypeError:
        return texts([dict(zip(names, row, strict=True)) for row in rows], place)
    first, *others = before_values(names)
    parts = [""] * (2 * len(values))
    parts[::2], parts[1::2] = ['"}\n' + first, *others] * len(rows), values
    parts.append('"}\n')
    return checked("".join(parts)[3:], len(rows), place)


def before_values(names: Sequence[str]) -> list[str]:
    """What stands before each value of a record of text: its name, and the end of the value before it."""
    first, *others = [orjson.dumps(name).decode() + ':"' for name in names]
    return ["{" + first, *(f'",{name}' for name in others)]


def first_error(records: Sequence[dict[str, Any]], place: Place) -> str:
    for index, record in enumerate(records):
        try:
            orjson.dumps(record)
        except TypeError as error:
            return f"{place(index)}: {error}"
    raise AssertionError("one of the records cannot be written")


def passed(lines: list[bytes], place: Place) -> Batch:
    """Lines that are said to be JSON objects, checked and otherwise as they came. Raises SourceError.

    A line break within one is space between tokens, if it is JSON at all: the caller takes it out."""
    try:
        strangers = set(map(type, map(orjson.loads, lines))) - {dict}
    except ValueError:
        strangers = {ValueError}
    if strangers:
        raise SourceError(first_stranger(lines, place))
    return fit(lines, place)


def first_stranger(lines: list[bytes], place: Place) -> str:
    for index, line in enumerate(lines):
        try:
            if type(orjson.loads(line)) is not dict:
                return f"{place(index)}: is not an object"
        except ValueError as error:
            return f"{place(index)}: {error}"
    raise AssertionError("one of the lines is not an object")


def fit(lines: list[bytes], place: Place) -> Batch:
    """The batch. Raises SourceError for what jsonb cannot hold."""
    joined = b"\n".join([*lines, b""]).translate(None, b"\t\r")  # between tokens only: no string of JSON holds them so
    if (b"e-" in joined or b"E-" in joined or len(joined) > DIGITS) and FINE.search(joined):
        refuse_fine(lines, place)
    return checked(joined.decode(), len(lines), place)


def checked(text: str, count: int, place: Place) -> Batch:
    """Lines that are JSON. Their strings may not hold NUL."""
    batch = Batch(text, count)
    if "\\u0000" in text:
        refuse_nul(batch, place)
    return batch


def refuse_nul(lines: Iterable[str], place: Place) -> None:
    for index, line in enumerate(lines):
        if "\\u0000" in line.replace("\\\\", ""):
            raise SourceError(f"{place(index)}: holds the character NUL")


def refuse_fine(lines: list[bytes], place: Place) -> None:
    for index, line in enumerate(lines):
        try:
            json.loads(line, parse_float=refuse_digits)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{place(index)}: {error}") from None


def refuse_digits(number: str) -> None:
    exponent = Decimal(number).as_tuple().exponent
    if isinstance(exponent, int) and exponent < -DIGITS:
        raise ValueError(f"holds a number with more than {DIGITS} digits after the point")


async def within(batches: AsyncGenerator[Batch, None], context: Context) -> AsyncGenerator[Batch, None]:
    """The same, until the job is cancelled; SourceError once there are more rows than permitted."""
    count = 0
    async with aclosing(batches):
        async for batch in batches:
            context.check()
            count += len(batch)
            if count > context.settings.max_rows:
                raise SourceError(f"has more than the {context.settings.max_rows} rows that are permitted")
            yield batch
