"""CSV, from text to records."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from collector.sources import BATCH_CHARACTERS, BATCH_ROWS, Batch, SourceError, plain
from collector.sources.chunks import lines_of
from collector.sources.plain import Dialect
from collector.sources.records import objects

STEP = 50
"""Records at most that are read before anybody looks how many characters they were; fewer where they are wide."""
LINE_END = re.compile(r"\r\n|\r|\n")


class Table:
    """Reads one CSV, which comes in pieces of whole lines: a plain piece at once, others by Python's csv. Holds a piece, a
    batch, and no more than about `longest` characters of an unfinished record."""

    def __init__(self, pieces: Iterable[str], longest: int, dialect: Dialect) -> None:
        csv.field_size_limit(longest)
        self.pieces, self.longest, self.dialect = iter(pieces), longest, dialect
        self.rows, self.first, self.plain_lines = list[list[str]](), 1, 0
        self.lines, self.loaded, self.read, self.mark = list[str](), 0, 0, BATCH_CHARACTERS
        self.place, self.swallowed = (-1, -1), 0
        self.reader = csv.reader(self.feed(), strict=True, **dialect)

    @property
    def line(self) -> int:
        """The last that was read."""
        return self.plain_lines + self.reader.line_num

    @property
    def left(self) -> int:
        """Lines that are loaded and that the reader has not taken yet. When it has given a record and there are none, the next
        piece begins with a record."""
        return self.loaded - self.reader.line_num

    def load(self, piece: str) -> None:
        self.lines = lines_of(piece)
        self.loaded, self.read = self.loaded + len(self.lines), self.read + len(piece)

    def feed(self) -> Iterator[str]:
        while self.lines or self.goes_on():
            lines, self.lines = self.lines, []
            yield from lines

    def goes_on(self) -> bool:
        """Load the next piece, since the record at hand has no end yet; SourceError if it swallows too much."""
        piece = next(self.pieces, None)
        if piece is None:
            return False
        place, before = (self.first, len(self.rows)), self.place
        self.place, self.swallowed = place, self.swallowed + len(piece) if place == before else 0
        if self.swallowed > self.longest:
            raise SourceError(f"line {self.line}: a record has more than {self.longest} characters")
        self.load(piece)
        return True

    def header(self) -> list[str]:
        while self.more(1):
            if names := self.rows.pop():
                if all(names):
                    return names
                break
        raise SourceError("line 1: a header with a name for each column is needed")

    def more(self, count: int) -> bool:
        """Read up to so many records, also empty lines. False at the end. `goes_on` sees how far it came."""
        before = len(self.rows)
        try:
            self.rows.extend(itertools.islice(self.reader, count))
        except csv.Error as error:
            raise SourceError(f"line {self.line}: {error}") from None
        return len(self.rows) > before

    def batches(self, columns: Sequence[str] | None) -> Iterator[Batch]:
        names = columns if columns is not None else self.header()
        if len(set(names)) != len(names):
            raise SourceError("line 1: a column's name occurs twice")
        yield from self.loaded_batches(names)
        for piece in self.pieces:
            cells = plain.cells(piece, len(names), self.dialect) if len(piece) <= self.longest else None
            if cells is None:
                self.load(piece)
                yield from self.loaded_batches(names)
            else:
                yield from self.plain_batches(cells, names)
        if self.rows:
            yield self.taken(names)

    def plain_batches(self, cells: Sequence[str], names: Sequence[str]) -> Iterator[Batch]:
        if self.rows:
            yield self.taken(names)
        for batch in plain.batches(cells, names):
            self.first, self.plain_lines = self.first + len(batch), self.plain_lines + len(batch)
            yield batch

    def loaded_batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Those that are full; what is left of the piece stays in `rows`."""
        width, before, line, step = len(names), len(self.rows), self.line, 1
        while self.left and self.more(min(step, BATCH_ROWS - before, self.left)):
            if set(map(len, self.rows[before:])) != {width}:
                self.rows[before:] = even(self.rows[before:], width, line)
            before, line, step = len(self.rows), self.line, min(2 * step, STEP)
            if self.read > self.mark:
                step = 1
            if before == BATCH_ROWS or (before and self.read > self.mark):
                yield self.taken(names)
                before = 0

    def taken(self, names: Sequence[str]) -> Batch:
        first, rows = self.first, self.rows
        self.first += len(rows)
        self.rows, self.mark = [], self.read + BATCH_CHARACTERS
        return objects(names, rows, lambda index: f"row {first + index} (up to line {self.line})")


def even(rows: Sequence[list[str]], width: int, line: int) -> list[list[str]]:
    """Those that are no empty lines. SourceError with the line of the first of another width; `line` ended before them."""
    for row in rows:
        line += 1 + sum(len(LINE_END.findall(value)) for value in row)
        if row and len(row) != width:
            raise SourceError(f"line {line}: has {len(row)} values, the header {width}")
    return [row for row in rows if row]
