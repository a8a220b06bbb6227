"""deployctl explain: what an error means, and what to do, where there is no other page to read."""

from __future__ import annotations

from typing import Annotated

import typer

from deploybundle.errors import DeployctlError, InputError, did_you_mean
from deployctl.commands import show
from deployctl.commands.catalogue import catalogue
from deployctl.commands.options import Json

NAME = "explain"


class CodeUnknown(InputError):
    """No error has this code.

    Copy the code from the end of the message, without its brackets; `deployctl explain` lists all of them.
    """

    code = "code-unknown"


def command(
    code: Annotated[
        str | None, typer.Argument(help="What stands in brackets behind a message; all of them without it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what an error's code means, and what to do about it.

    Example: deployctl explain host-key-changed
    """
    known = catalogue()
    if code is not None and code.strip("[]") not in known:
        raise CodeUnknown(f'no error has the code "{code}"', hint=did_you_mean(code, known))
    found = [known[code.strip("[]")]] if code is not None else list(known.values())
    if as_json:
        show.data([_data(one) for one in found])
    elif code is None:
        show.out(show.table([(one.code, str(one.exit_code), one.meaning()) for one in found], ("code", "exit", "meaning")))
    else:
        show.out(f"{found[0].meaning()}\n{found[0].way_out()}\ndeployctl ends with {found[0].exit_code}.")


def _data(one: type[DeployctlError]) -> dict[str, object]:
    return {"code": one.code, "exit_code": one.exit_code, "meaning": one.meaning(), "what_to_do": one.way_out()}
