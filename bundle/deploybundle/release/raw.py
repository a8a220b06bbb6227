"""The Compose files as they are written: only for what Compose's answer no longer tells, which files it read and where
a word stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .problems import Problem, ReleaseInvalid

_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<name>\w+)(?:(?P<mark>:?[-+?])(?P<word>[^}]*))?\})")
_MERGE, _VALUE, _TIMESTAMP = (f"tag:yaml.org,2002:{name}" for name in ("merge", "value", "timestamp"))


def _without(*tags: str) -> dict[str, Any]:
    """The resolvers of plain words without those of `tags`, whose words are then text."""
    found = yaml.SafeLoader.yaml_implicit_resolvers.items()
    return {first: [(tag, pattern) for tag, pattern in resolvers if tag not in tags] for first, resolvers in found}


class _Loader(yaml.SafeLoader):
    """Safe YAML without dates, and with Compose's tags (`!reset`, `!override`) taken as what they mark."""

    yaml_implicit_resolvers = _without(_VALUE, _TIMESTAMP)


class _AnswerLoader(_Loader):
    """The same for what Compose writes: there `<<` is a word as any other."""

    yaml_implicit_resolvers = _without(_MERGE, _VALUE, _TIMESTAMP)


def _tagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_Loader.add_multi_constructor("!", _tagged)


def load_yaml(text: str) -> Any:
    """YAML as plain values; dates stay text."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506  a subclass of SafeLoader


def load_answer(text: str) -> Any:
    """What Compose answered, as plain values: it has merged already."""
    return yaml.load(text, Loader=_AnswerLoader)  # noqa: S506  a subclass of SafeLoader


@dataclass(frozen=True)
class Document:
    """A Compose file and the folder that its relative paths begin at. `top`: named itself, not included or extended."""

    file: Path
    base: Path
    content: Mapping[str, Any]
    top: bool

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """The services written here."""
        return {str(name): mapping(service) for name, service in mapping(self.content.get("services")).items()}


def documents(project_dir: Path, files: Sequence[str], environment: Mapping[str, str]) -> list[Document]:
    """The named files, then what they include and extend, each once. A file that is not there is left out."""
    found: dict[Path, Document] = {}
    waiting = [(project_dir / file, project_dir, True) for file in files]
    while waiting:
        file, base, top = waiting.pop(0)
        if file not in found and file.is_file():
            found[file] = Document(file, base, mapping(_content(file, project_dir)), top)
            waiting += [(other, folder, False) for other, folder in _mentioned(found[file], environment)]
    return list(found.values())


def _content(file: Path, project_dir: Path) -> Any:
    """Compose takes some texts that our reader of YAML doesn't, such as a merge key without a mapping."""
    try:
        return load_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise ReleaseInvalid([Problem(relative(file, project_dir), f"is not YAML: {words}")]) from error


def _mentioned(document: Document, environment: Mapping[str, str]) -> Iterator[tuple[Path, Path]]:
    for entry in document.content.get("include") or []:
        yield from _included(mapping(entry) or {"path": entry}, document.base, environment)
    for service in document.services.values():
        file = mapping(service.get("extends")).get("file")
        if file:
            path = document.base / interpolate(str(file), environment)
            yield path, path.parent


def _included(entry: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> Iterator[tuple[Path, Path]]:
    paths = [base / interpolate(str(path), environment) for path in listed(entry.get("path"))]
    for path in paths:
        folder = entry.get("project_directory")
        yield path, base / str(folder) if folder else paths[0].parent


def env_files(document: Document, environment: Mapping[str, str]) -> Iterator[Path]:
    """The env_files that services and includes of this file name, whether they are there or not."""
    sections = [*document.services.values(), *map(mapping, document.content.get("include") or [])]
    for section in sections:
        for entry in listed(section.get("env_file")):
            path = mapping(entry).get("path", entry)
            yield document.base / interpolate(str(path), environment)


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Variables of a path, with their defaults. Compose's own reading decides; this only finds the file again."""
    return _VARIABLE.sub(lambda found: _value(found, environment), text.replace("$$", "\0")).replace("\0", "$")


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, mark = found["bare"] or found["name"], found["mark"] or ""
    value = environment.get(name, "")
    unset = not value if mark.startswith(":") else name not in environment
    if mark.endswith("-") and unset:
        return found["word"]
    if mark.endswith("+"):
        return "" if unset else found["word"]
    return value


def open_variables(text: str, environment: Mapping[str, str]) -> list[str]:
    """The variables in `text` that have neither an answer nor a default."""
    marks = re.findall(r"\$\{?(\w+)(:?[-+?])?", text.replace("$$", ""))
    return [name for name, mark in marks if "-" not in mark and "+" not in mark and name not in environment]


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """A value that may stand alone or in a list, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def relative(path: Path, project: Path) -> str:
    """How a person names a file of the project; one outside it, by its whole path."""
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
