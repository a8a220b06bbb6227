"""CSV, from lines to records."""

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

from collector.sources import BATCH_CHARACTERS, BATCH_ROWS, Batch, SourceError
from collector.sources.records import texts


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
        names = next(self.values(), [])
        if not names or not all(names):
            raise SourceError("line 1: a header with a name for each column is needed")
        return names

    def values(self) -> Iterator[list[str]]:
        try:
            yield from filter(None, self.reader)
        except csv.Error as error:
            raise SourceError(f"line {self.reader.line_num}: {error}") from None

    def batches(self, columns: Sequence[str] | None) -> Iterator[Batch]:
        names = columns if columns is not None else self.header()
        if len(set(names)) != len(names):
            raise SourceError("line 1: a column's name occurs twice")
        width, mark = len(names), self.read + BATCH_CHARACTERS
        for values in self.values():
            if len(values) != width:
                line = self.reader.line_num
                raise SourceError(f"line {line}: has {len(values)} values, the header {width}")
            self.rows.append(values)
            if len(self.rows) >= BATCH_ROWS or self.read > mark:
                yield self.taken(names)
                mark = self.read + BATCH_CHARACTERS
        if self.rows:
            yield self.taken(names)

    def taken(self, names: Sequence[str]) -> Batch:
        first, records = self.first, list(map(dict, map(zip, itertools.repeat(names), self.rows)))
        self.first += len(records)
        self.rows = []
        return texts(records, lambda index: f"row {first + index} (up to line {self.reader.line_num})")
