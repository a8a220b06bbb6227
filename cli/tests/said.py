"""What a command did, for the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    """Its exit code and what it printed."""

    code: int
    out: str
    err: str


Deployctl = Callable[..., Said]
