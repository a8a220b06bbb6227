"""JSON with one spelling: sorted keys, no spaces, ASCII. What is signed or hashed is written and read only so."""

from __future__ import annotations

import json
import re
from typing import Any

DEPTH = 32
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def dumps(value: Any) -> bytes:
    """The one spelling of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def loads(data: bytes) -> Any:
    """The value of canonical JSON. ValueError for every other spelling."""
    value = loads_foreign(data)
    if dumps(value) != data:
        raise ValueError("the JSON is not in its canonical spelling (sorted keys, no spaces, ASCII)")
    return value


def loads_foreign(data: bytes) -> Any:
    """The value of somebody else's JSON, as an image's config. ValueError if nested too deep or with a twin key."""
    if _depth(data) > DEPTH:
        raise ValueError(f"the JSON is nested deeper than {DEPTH}")
    return json.loads(data.decode("utf-8"), object_pairs_hook=_no_twins)


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value
