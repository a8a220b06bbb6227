"""Everything that is wrong with a release, told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploybundle.errors import InputError


@dataclass(frozen=True)
class Problem:
    """One thing to mend: where (file and key), what, and the way out."""

    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class ReleaseInvalid(InputError):
    """compose.yaml must change; `problems` holds each."""

    code = "release-invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        text = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} problems:", *lines])
        super().__init__(text)


class ComposeRefused(InputError):
    """Compose itself cannot read the files; its own message is shown."""

    code = "compose-refused"


class ComposeMissing(InputError):
    """There is no Compose file, or no Compose binary to read it with."""

    code = "compose-missing"
