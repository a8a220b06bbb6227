"""A layer's tar, walked as its bytes pass by: small files that somebody wants are kept, all else is skipped over.

Nothing is decompressed, hashed or read a second time for it. The tar is not trusted: what cannot be followed ends the
walk, and the layer goes on without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

BLOCK = 512
NAME_LIMIT = 1 << 16
Kind = Literal["file", "link", "other"]
Wants = Callable[[str, Kind, int], bool]
Takes = Callable[[str, Kind, bytes], None]

_KINDS: dict[bytes, Kind] = {b"0": "file", b"\0": "file", b"7": "file", b"2": "link"}
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
_META = (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL)


class TarWalk:
    """Feed it a tar in pieces of any size. `broken` says that it could not be followed to its end."""

    def __init__(self, wants: Wants, takes: Takes) -> None:
        """`wants(path, kind, size)` chooses; `takes(path, kind, content)` gets it: a file's bytes, a link's target."""
        self._wants, self._takes = wants, takes
        self._buffer = bytearray()
        self._skip = 0
        self._content: tuple[bytes, str, int] | None = None  # type, path, size of what is being collected
        self._named: dict[str, str] = {}  # what extended headers said of the next entry
        self.broken = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the tar."""
        view = memoryview(chunk)
        while len(view) and not self.broken:
            if self._skip and not self._buffer:
                step = min(self._skip, len(view))
                self._skip -= step
                view = view[step:]
                continue
            need = self._need() - len(self._buffer)
            self._buffer += view[:need]
            view = view[need:]
            if len(self._buffer) == self._need():
                self._whole(bytes(self._buffer))

    def _need(self) -> int:
        return self._content[2] if self._content else BLOCK

    def _whole(self, data: bytes) -> None:
        self._buffer.clear()
        if self._content is None:
            self._header(data)
            return
        kind, path, size = self._content
        self._content, self._skip = None, -size % BLOCK
        if kind in _META:
            self._extended(kind, data)
        else:
            self._takes(path, "file", data)

    def _header(self, head: bytes) -> None:
        if not any(head):
            return
        kind, size = head[156:157], _number(head[124:136])
        if size is None or _number(head[148:156]) != sum(head) - sum(head[148:156]) + 8 * 32 or kind == _SPARSE:
            self.broken = True
        elif kind in _META:
            self._collect(kind, "", size, NAME_LIMIT)
        else:
            self._entry(head, kind, size)

    def _collect(self, kind: bytes, path: str, size: int, limit: int) -> None:
        if size > limit:
            self.broken = True
        elif size:
            self._content = (kind, path, size)

    def _entry(self, head: bytes, kind: bytes, size: int) -> None:
        said, self._named = self._named, {}
        path = said.get("path") or _path(head)
        size = int(said["size"]) if said.get("size", "").isdecimal() else size
        what = _KINDS.get(kind, "other")
        wanted = self._wants(path, what, size)
        if what == "link":
            self._skip = size + -size % BLOCK
            if wanted:
                self._takes(path, what, (said.get("linkpath") or _text(head[157:257])).encode())
        elif wanted and what == "file":
            self._content = (kind, path, size) if size else None
            if not size:
                self._takes(path, what, b"")
        else:
            self._skip = size + -size % BLOCK

    def _extended(self, kind: bytes, data: bytes) -> None:
        if kind == _PAX:
            self._named.update(_pax(data))
        elif kind == _LONG_NAME:
            self._named["path"] = _text(data)
        elif kind == _LONG_LINK:
            self._named["linkpath"] = _text(data)


def _number(field: bytes) -> int | None:
    """Octal, or GNU's base 256."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else None
    text = field.split(b"\0")[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        return None


def _path(head: bytes) -> str:
    name = _text(head[:100])
    prefix = _text(head[345:500]) if head[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _pax(data: bytes) -> dict[str, str]:
    """POSIX.1-2001's records: "length key=value\\n". What is none ends them."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        word, _, _ = data[at : at + 12].partition(b" ")
        if not word.isdigit() or not 4 < int(word) <= len(data) - at:
            break
        key, _, value = data[at + len(word) + 1 : at + int(word) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        at += int(word)
    return found
