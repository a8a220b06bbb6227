"""The bytes of a file or an answer, piece by piece: unpacked, counted, and cut into lines. Nothing is held whole."""

import codecs
import io
import zlib
from collections.abc import Callable, Iterable, Iterator

from collector.sources import SourceError

CHUNK = 2**17
GZIP = b"\x1f\x8b"


def limited(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The same, and SourceError once there are more than `most` bytes."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise SourceError(f"has more than the {most} bytes that are permitted (unpacked)")
        yield chunk


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """gzip undone, also of several members, about CHUNK bytes at a time, however well they were packed."""
    try:
        yield from gathered(unpack(chunks))
    except zlib.error as error:
        raise SourceError(f"is no gzip, or damaged: {error}") from None


def unpack(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member, rest = zlib.decompressobj(wbits=31), b""
    for chunk in chunks:
        rest += chunk
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            yield member.decompress(rest, CHUNK)
            rest = member.unconsumed_tail or member.unused_data
    while not member.eof and (more := member.decompress(b"", CHUNK)):
        yield more
    if not member.eof:
        raise SourceError("is cut off: the end of the gzip is missing")


def gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Small ones joined: each costs whoever works on it."""
    parts, size = list[bytes](), 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def byte_lines(chunks: Iterable[bytes], longest: int) -> Iterator[list[bytes]]:
    """Lines without their ends, many at a time. Raises SourceError for one longer than `longest`."""
    rest, before = b"", 0
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        sizes = [*map(len, lines), len(rest)]
        if max(sizes) > longest:
            raise too_long(before + 1 + next(index for index, size in enumerate(sizes) if size > longest), longest)
        yield lines
        before += len(lines)
    yield [rest]


def too_long(line: int, longest: int) -> SourceError:
    return SourceError(f"line {line}: is longer than the {longest} bytes that are permitted")


def text_pieces(chunks: Iterable[bytes], encoding: str, longest: int) -> Iterator[str]:
    """Whole lines with their ends (LF, CR LF or CR), many at a time. Raises SourceError with the line that is not in
    `encoding`, or is longer than `longest`."""
    decoder, rest, before = codecs.getincrementaldecoder(encoding)(), "", 0
    for chunk in with_end(chunks):
        text = rest + decoded(decoder.decode, chunk, encoding, before + 1)
        end = len(text) if not chunk else complete(text)
        piece, rest = text[:end], text[end:]
        yield piece
        before += line_count(piece)
        if len(rest) > longest:
            raise too_long(before + 1, longest)


def lines_of(piece: str) -> list[str]:
    return io.StringIO(piece, newline="").readlines()


def line_count(piece: str) -> int:
    return len(lines_of(piece)) if "\r" in piece else piece.count("\n")


def with_end(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from filter(None, chunks)
    yield b""


def complete(text: str) -> int:
    """Where the last whole line ends; a CR at the very end may be half of a CR LF."""
    return text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1


def decoded(decode: Callable[[bytes, bool], str], chunk: bytes, encoding: str, line: int) -> str:
    try:
        return decode(chunk, not chunk)
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
        raise SourceError(f"line {line}: is not {encoding}: {error.reason}") from None
