"""JSON and JSON Lines, from bytes to batches."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated

from pydantic import Field

from collector.sources import BATCH_CHARACTERS, BATCH_ROWS, Batch
from collector.sources.chunks import byte_lines
from collector.sources.elements import elements
from collector.sources.records import fit, passed

JsonPath = Annotated[str, Field(max_length=500, pattern=r"^([^.]+(\.[^.]+)*)?$", examples=["", "data.items"])]


def json_path(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()


def line_batches(chunks: Iterable[bytes], longest: int) -> Iterator[Batch]:
    before = 0
    for lines in byte_lines(without_mark(chunks), longest):
        for start in range(0, len(lines), BATCH_ROWS):
            yield from full_lines(lines[start : start + BATCH_ROWS], before + start + 1)
        before += len(lines)


def full_lines(lines: list[bytes], first: int) -> Iterator[Batch]:
    numbered = [(number, line) for number, line in enumerate(lines, first) if line.strip()]
    if numbered:
        yield passed([line for _, line in numbered], lambda index: f"line {numbered[index][0]}")


def without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    first = True
    for chunk in chunks:
        yield chunk.removeprefix(b"\xef\xbb\xbf") if first else chunk
        first = False


def json_batches(chunks: Iterable[bytes], path: tuple[str, ...], longest: int) -> Iterator[Batch]:
    first, batch, size = 1, list[bytes](), 0
    for text in elements(chunks, path, longest):
        batch.append(text)
        size += len(text)
        if len(batch) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
            yield fit(batch, partial(item, first))
            first, batch, size = first + len(batch), [], 0
    if batch:
        yield fit(batch, partial(item, first))


def item(first: int, index: int) -> str:
    return f"item {first + index}"
