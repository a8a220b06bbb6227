"""A laptop is a client too: the same templates, with Compose's own names instead of hosts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from deploybundle.release import Release
from deployctl.desired.model import File
from deployctl.desired.render import SUFFIX, Endpoint, port_of, render, template_names


class LaptopView:
    """`site` in a template on a laptop."""

    name = title = "laptop"

    def __init__(self, release: Release) -> None:
        self.__release = release

    def endpoints(self, service: str, port: int | None = None) -> list[Endpoint]:
        """The service by its Compose name."""
        return [Endpoint("laptop", service, port_of(self.__release, service, port).port)]


def render_laptop(release: Release, project: Path) -> dict[str, bytes]:
    """The rendered templates by relative name. Secrets are not for templates on a laptop."""
    files = {str(path.relative_to(project)): File(path.read_bytes()) for path in project.rglob(f"*{SUFFIX}")}
    view = {
        "site": LaptopView(release),
        "host": SimpleNamespace(name="laptop", address="127.0.0.1", segment="laptop"),
        "client": {"name": "laptop", "title": "laptop"},
        "release": release,
    }
    names = template_names(files, release.config_dir)
    return {name.removesuffix(SUFFIX): render(name, files[name], view, {}).content for name in names}
