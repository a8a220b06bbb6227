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
    """compose.yaml must change; every place that must is listed.

    Mend each place that is listed in compose.yaml; docs/reference/release.md has all keys.
    """

    code = "release-invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.found = tuple(problems)
        if len(problems) == 1:
            super().__init__(problems[0].message, place=problems[0].place, hint=problems[0].hint)
        else:
            super().__init__(f"{len(problems)} problems", problems=[ReleaseInvalid([one]) for one in problems])


class ComposeRefused(InputError):
    """Compose itself cannot read the files; its own message is shown.

    Mend what Compose names; `docker compose config` in the project's folder says the same. At a site, an answer in client.yml
    (`settings`) may be the cause.
    """

    code = "compose-refused"


class ProfileUnknown(InputError):
    """The client names a Compose profile that no service of the release has.

    Check the spelling in client.yml: `profiles`. compose.yaml says which there are.
    """

    code = "profile-unknown"


class ComposeMissing(InputError):
    """There is no Compose file, or no Compose binary to read it with.

    Name the folder that holds compose.yaml, or its files with `--file`.
    """

    code = "compose-missing"
