"""Render config/ as deployctl would for a laptop: python tests/render.py writes beside the templates."""

from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, FileSystemLoader, StrictUndefined

CONFIG = Path(__file__).parent.parent / "config"


def render(name: str, *addresses: str, **client: str) -> str:
    """Each service lies at these addresses; without one at its name, as on a laptop."""

    def endpoints(service: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(address=address, port=8000) for address in addresses or (service,)]

    environment = Environment(loader=FileSystemLoader(CONFIG), undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(f"{name}.j2").render(
        site=SimpleNamespace(name="laptop", endpoints=endpoints),
        host=SimpleNamespace(name="laptop", address="127.0.0.1"),
        release=SimpleNamespace(name="collector", version="1.0.0"),
        client=client,
    )


def write(folder: Path) -> None:
    for template in folder.glob("*.j2"):
        template.with_suffix("").write_text(render(template.stem))


if __name__ == "__main__":
    write(CONFIG)
