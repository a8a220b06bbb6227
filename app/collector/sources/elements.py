"""The objects of a JSON array, one after the other, without reading the document whole.

Each is returned as the text that stands in the document, so no digit of a number is lost. Memory: one object and a chunk.
"""

import re
from collections.abc import Iterable, Iterator

import orjson

from collector.sources import SourceError

TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[]}{[]', re.DOTALL)
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
SCALAR = re.compile(rb"[-+.0-9a-zA-Z]*+")
ON = re.compile(rb"[ \t\r\n]*+,[ \t\r\n]*+(?=\{)")
SPACE = re.compile(rb"[ \t\r\n]*+")
LINE_ENDS = b"\t\r\n"  # between tokens only: within a string they would have been refused
GUESSES = 8


def elements(chunks: Iterable[bytes], path: tuple[str, ...], longest: int) -> Iterator[bytes]:
    """The objects of the array at `path`; () is the document itself. Raises SourceError with line and item."""
    scan = Scan(chunks, longest)
    scan.skip_mark()
    yield from below(scan, path)
    if scan.next():
        raise scan.error("more follows after the end of the document")


def below(scan: "Scan", path: tuple[str, ...]) -> Iterator[bytes]:
    if not path:
        yield from array(scan)
        return
    found = False
    for key in members(scan):
        if key == path[0] and not found:
            found = True
            yield from below(scan, path[1:])
        else:
            scan.value()
    if not found:
        raise scan.error(f"the object has no {path[0]!r}")


def members(scan: "Scan") -> Iterator[str]:
    """Each key of the object at hand; the caller takes the value before it asks for the next."""
    scan.expect(b"{", "must be an object")
    if scan.accept(b"}"):
        return
    while True:
        key = scan.value() if scan.next() == b'"' else b""
        if not key:
            raise scan.error("a key is missing")
        scan.expect(b":", "a colon is missing")
        yield str(orjson.loads(key))
        if scan.accept(b"}"):
            return
        scan.expect(b",", "a comma or the end of the object is missing")


def array(scan: "Scan") -> Iterator[bytes]:
    scan.expect(b"[", "must be an array of objects")
    if scan.accept(b"]"):
        return
    while True:
        yield from scan.run()
        scan.item += 1
        if scan.next() != b"{":
            raise scan.error("is not an object")
        yield scan.value().translate(None, LINE_ENDS)
        if scan.accept(b"]"):
            scan.item = 0
            return
        scan.expect(b",", "a comma or the end of the array is missing")


class Scan:
    """A place in a document that arrives in chunks."""

    def __init__(self, chunks: Iterable[bytes], longest: int) -> None:
        self.chunks, self.longest = iter(chunks), longest
        self.buffer, self.at, self.line, self.item, self.braces = b"", 0, 1, 0, 1

    def error(self, message: str) -> SourceError:
        line = self.line + self.buffer.count(b"\n", 0, self.at)
        item = f", item {self.item}" if self.item else ""
        return SourceError(f"line {line}{item}: {message}")

    def too_long(self) -> SourceError:
        return self.error(f"a value has more than the {self.longest} bytes that are permitted")

    def more(self) -> bool:
        """Read as much again as is waiting, so that a long value is not searched too often. False at the end."""
        self.line += self.buffer.count(b"\n", 0, self.at)
        parts = [self.buffer[self.at :]]
        wanted = have = len(parts[0])
        self.buffer, self.at = parts[0], 0
        if wanted > self.longest:
            raise self.too_long()
        while have <= 2 * wanted and (chunk := next(self.chunks, b"")):
            parts.append(chunk)
            have += len(chunk)
        self.buffer = b"".join(parts)
        return have > wanted

    def skip_mark(self) -> None:
        """The mark that some programs put before UTF-8."""
        while len(self.buffer) < 3 and self.more():
            pass
        self.at = 3 if self.buffer.startswith(b"\xef\xbb\xbf") else 0

    def next(self) -> bytes:
        """The next byte that is no space; empty at the end."""
        while True:
            self.at = SPACE.match(self.buffer, self.at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self.at < len(self.buffer) or not self.more():
                return self.buffer[self.at : self.at + 1]

    def accept(self, byte: bytes) -> bool:
        found = self.next() == byte
        self.at += found
        return found

    def expect(self, byte: bytes, message: str) -> None:
        if not self.accept(byte):
            raise self.error(message if self.next() else "the document is cut off")

    def value(self) -> bytes:
        """The text of the JSON value at hand."""
        self.next()
        text = self.guessed() or self.measured()
        self.at += len(text)
        return text

    def guessed(self) -> bytes:
        """Most objects of an array have the same shape: try the brace where the last one ended."""
        end = self.at
        for _ in range(self.braces):
            end = self.buffer.find(b"}", end) + 1
            if not end or end - self.at > self.longest:
                return b""
        text = self.buffer[self.at : end]
        return text if is_object(text) else b""

    def run(self) -> Iterator[bytes]:
        """The objects that need no care: of the usual shape, whole in the buffer, and followed by another one."""
        while (text := self.guessed()) and (on := ON.match(self.buffer, self.at + len(text))):
            self.item, self.at = self.item + 1, on.end()
            yield text.translate(None, LINE_ENDS) if b"\n" in text else text

    def measured(self) -> bytes:
        while (end := self.end_of_value()) is None:
            if not self.more():
                raise self.error("the document is cut off")
        text = self.buffer[self.at : end]
        if len(text) > self.longest:
            raise self.too_long()
        try:
            orjson.loads(text)
        except ValueError as error:
            raise self.error(str(error)) from None
        self.braces = max(1, min(text.count(b"}"), GUESSES))
        return text

    def end_of_value(self) -> int | None:
        """Where the value at hand ends; None if it is not there whole."""
        if self.buffer[self.at : self.at + 1] not in (b"{", b"["):
            return self.end_of_scalar()
        depth = 0
        for token in TOKEN.finditer(self.buffer, self.at):
            first = token[0][:1]
            if first == b'"' and not token[1]:
                return None
            depth += (first in b"{[") - (first in b"}]")
            if not depth:
                return token.end()
        return None

    def end_of_scalar(self) -> int | None:
        text = self.buffer[self.at : self.at + 1] == b'"'
        found = (STRING if text else SCALAR).match(self.buffer, self.at)
        return found.end() if found and (text or found.end() < len(self.buffer)) else None


def is_object(text: bytes) -> bool:
    try:
        return type(orjson.loads(text)) is dict
    except ValueError:
        return False
