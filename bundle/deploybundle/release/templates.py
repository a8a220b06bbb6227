"""The templates of a project, read as the site will read them: a mistake is found before anybody travels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import jinja2

from .problems import Problem
from .raw import relative


def template_problems(templates: Iterable[Path], project: Path) -> Iterator[Problem]:
    """What Jinja2 cannot read, by file and line: no UTF-8, a block that never ends, a filter that there is not."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701  configuration files, not HTML
    for path in templates:
        place = relative(path, project)
        try:
            environment.compile(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            yield Problem(place, f"expected UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8")
        except jinja2.TemplateSyntaxError as error:
            hint = "what ends with .j2 in the folder `config` is a Jinja2 template"
            yield Problem(f"{place}:{error.lineno}", str(error.message), hint)
