"""CSV, from lines to records."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

from collector.sources import BATCH_CHARACTERS, BATCH_ROWS, Batch, SourceError
from collector.sources.records import objects

STEP = 50
"""Records at most that are read before anybody looks how many characters they were; fewer where they are wide."""
LINE_END = re.compile(r"\r\n|\r|\n")


class Dialect(TypedDict):
    delimiter: str
    quotechar: str
    escapechar: str | None


class Table:
    """Reads one CSV. Holds a batch, and no more than about `longest` characters of an unfinished record."""

    def __init__(self, lines: Iterable[list[str]], longest: int, dialect: Dialect) -> None:
        csv.field_size_limit(longest)
        self.longest, self.read, self.rows, self.first = longest, 0, list[list[str]](), 1
        feed = itertools.chain.from_iterable(self.watched(lines))
        self.reader = csv.reader(feed, strict=True, **dialect)

    def watched(self, lines: Iterable[list[str]]) -> Iterator[list[str]]:
        """The same, counted; SourceError if the record that is being read swallows too much."""
        before, pending = (-1, -1), 0
        for some in lines:
            size = sum(map(len, some))
            pending = pending + size if before == (self.first, len(self.rows)) else 0
            if pending > self.longest:
                raise SourceError(f"line {self.reader.line_num}: a record has more than {self.longest} characters")
            before, self.read = (self.first, len(self.rows)), self.read + size
            yield some

    def header(self) -> list[str]:
        while self.more(1):
            if names := self.rows.pop():
                if all(names):
                    return names
                break
        raise SourceError("line 1: a header with a name for each column is needed")

    def more(self, count: int) -> bool:
        """Read up to so many records, also empty lines. False at the end. `watched` sees how far it came."""
        before = len(self.rows)
        try:
            self.rows.extend(itertools.islice(self.reader, count))
        except csv.Error as error:
            raise SourceError(f"line {self.reader.line_num}: {error}") from None
        return len(self.rows) > before

    def batches(self, columns: Sequence[str] | None) -> Iterator[Batch]:
        names = columns if columns is not None else self.header()
        if len(set(names)) != len(names):
            raise SourceError("line 1: a column's name occurs twice")
        width, mark = len(names), self.read + BATCH_CHARACTERS
        before, line, step = 0, self.reader.line_num, 1
        while self.more(min(step, BATCH_ROWS - before)):
            if any(len(row) != width for row in self.rows[before:]):
                self.rows[before:] = even(self.rows[before:], width, line)
            before, line, step = len(self.rows), self.reader.line_num, min(2 * step, STEP)
            if self.read > mark:
                step = 1
            if before == BATCH_ROWS or self.read > mark:
                yield self.taken(names)
                before, mark = 0, self.read + BATCH_CHARACTERS
        if self.rows:
            yield self.taken(names)

    def taken(self, names: Sequence[str]) -> Batch:
        first, rows = self.first, self.rows
        self.first += len(rows)
        self.rows = []
        return objects(names, rows, lambda index: f"row {first + index} (up to line {self.reader.line_num})")


def even(rows: Sequence[list[str]], width: int, line: int) -> list[list[str]]:
    """Those that are no empty lines. SourceError with the line of the first of another width; `line` ended before them."""
    for row in rows:
        line += 1 + sum(len(LINE_END.findall(value)) for value in row)
        if row and len(row) != width:
            raise SourceError(f"line {line}: has {len(row)} values, the header {width}")
    return [row for row in rows if row]
