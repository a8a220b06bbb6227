"""Errors, grouped by who must act. A message has its place, both sides and the way out; only the command line prints it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class DeployctlError(Exception):
    """Something that a person must know. `code` is stable; `place` says where (file, key, line, host); `hint` what to do."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, place: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.place, self.hint = message, place, hint

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class InputError(DeployctlError):
    """The user's own input must change: a Compose file, the inventory, an argument, a password."""

    code = "input"
    exit_code = 1


class RefusedError(DeployctlError):
    """A bundle is damaged, unsigned or not trusted; nothing was done with it."""

    code = "refused"
    exit_code = 3


class SiteError(DeployctlError):
    """The site must change: a host, its SSH, its disk, its engine."""

    code = "site"
    exit_code = 4


class UnhealthyError(DeployctlError):
    """A service did not become, or is not, healthy."""

    code = "unhealthy"
    exit_code = 5


class FlowError(DeployctlError):
    """A connection is open that must be shut, or the other way about."""

    code = "flows"
    exit_code = 6


class LockedError(DeployctlError):
    """Somebody else is changing this site."""

    code = "locked"
    exit_code = 7


class InternalBug(DeployctlError):
    """Ours to mend."""

    code = "bug"
    exit_code = 70


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the nearest known one, or all of them."""
    names = sorted(known)
    guess = nearest(word, names)
    if guess:
        return f'did you mean "{guess}"?'
    return f"known are: {', '.join(names)}" if names else ""
