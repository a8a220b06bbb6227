"""deployctl render: what `docker compose up` needs on a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deploybundle.pack import read_release
from deploybundle.sources import compose_binary
from deployctl.commands import show
from deployctl.desired import render_laptop

NAME = "render"
LAPTOP = "laptop"


class OnlyLaptop(InputError):
    """Sites get their files by install.

    `deployctl install --client …` renders a site's files on its hosts; `render` is for `--client laptop` only.
    """

    code = "only-laptop"


def command(
    project: Annotated[Path, typer.Argument(help="The folder of compose.yaml.")] = Path(),
    client: Annotated[str, typer.Option("--client", "-c", help="Only `laptop`: a site gets its files by install.")] = LAPTOP,
) -> None:
    """Render the templates of config/ for this machine, where each service is found by its Compose name.

    Example: deployctl render --client laptop app
    """
    if client != LAPTOP:
        raise OnlyLaptop(f'"{client}" is a site', hint=f"deployctl install --client {client} renders its files there")
    release = read_release(project, compose_binary())
    for name, content in render_laptop(release, project).items():
        beside = project / f"{name}.new"
        beside.write_bytes(content)
        beside.replace(project / name)
        show.say(f"wrote {project / name}")
