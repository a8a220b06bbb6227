"""Errors, grouped by who must act. A message has its place, both sides and the way out; only the command line prints it.

A class below a group is an entry of the catalogue: `code` is its stable, unique name; the first line of its docstring says
what it means, the rest what to do. The reference page and `deployctl explain` are made of these.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar


class DeployctlError(Exception):
    """Something that a person must know.

    `code` is stable; `place` says where (file, key, line, host); `hint` what to do; `problems` are the errors that this one
    gathers, each with a code of its own; `log` is the file that has the whole story, where there is one.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, place: str = "", hint: str = "", problems: Sequence[DeployctlError] = ()) -> None:
        super().__init__(message)
        self.message, self.place, self.hint = message, place, hint
        self.problems: tuple[DeployctlError, ...] = tuple(problems)
        self.log = ""

    def __str__(self) -> str:
        return "\n".join([self.line, *(f"  {one}" for one in self.problems)])

    @property
    def line(self) -> str:
        """Where and what, without the errors that it gathers."""
        return f"{self.place}: {self.message}" if self.place else self.message

    @classmethod
    def meaning(cls) -> str:
        """What it means, in a line."""
        return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]

    @classmethod
    def way_out(cls) -> str:
        """What to do about it."""
        return " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n")[2].split())


class InputError(DeployctlError):
    """The user's own input must change: a Compose file, the inventory, an argument, a password, a file of this machine."""

    code = "input"
    exit_code = 1


class UsageError(DeployctlError):
    """The command line was not understood."""

    code = "usage-error"
    exit_code = 2


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


class StoppedError(DeployctlError):
    """Somebody ended the program before its time."""

    code = "stopped"
    exit_code = 130


class Several(InputError):
    """Several things of your input must change; each is listed with a code of its own.

    Look up each line's code. All of them were found without asking a host; there may be more once these are mended.
    """

    code = "several"

    def __init__(self, problems: Sequence[DeployctlError]) -> None:
        super().__init__(f"{len(problems)} problems", problems=problems)


def gathered(problems: Sequence[DeployctlError]) -> DeployctlError:
    """The one problem that there is; or one error with all of them, of their own class where they share it."""
    flat = [one for problem in problems for one in problem.problems or (problem,)]
    if len(flat) == 1:
        return flat[0]
    kinds = {type(one) for one in flat}
    return kinds.pop()(f"{len(flat)} problems", problems=flat) if len(kinds) == 1 else Several(flat)


def below(kind: type[DeployctlError] = DeployctlError) -> Iterator[type[DeployctlError]]:
    """Every class of errors that was imported, but not the groups."""
    for one in kind.__subclasses__():
        if kind is not DeployctlError:
            yield one
        yield from below(one)


def as_data(problem: DeployctlError) -> dict[str, Any]:
    """An error for a script."""
    found: dict[str, Any] = {"code": problem.code, "exit_code": problem.exit_code}
    found |= {"place": problem.place, "message": problem.message, "hint": problem.hint}
    found |= {"log": problem.log} if problem.log else {}
    return found | ({"problems": [as_data(one) for one in problem.problems]} if problem.problems else {})


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
