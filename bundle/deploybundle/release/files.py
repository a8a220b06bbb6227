"""The files of a project that travel, and the proof that they are all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .compose import compose
from .model import Release
from .problems import Problem, ReleaseInvalid
from .raw import documents, env_files, mapping, relative
from .settings import required_answers
from .templates import template_problems

TEMPLATE = ".j2"


def project_files(
    release: Release,
    project_dir: Path,
    *,
    compose_binary: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Relative name to file: Compose files, env_files, relative bind mounts, `configs`, the folder of templates.

    Never a secret's file; nothing outside the folder. With `compose_binary`, the chosen files are copied apart and read
    again: the model must be the same. Raises ReleaseInvalid.
    """
    project = project_dir.resolve()
    docs = documents(project, release.compose_files, environment or {})
    read = [doc.file for doc in docs] + [path for doc in docs for path in env_files(doc, environment or {})]
    bound, problems = _bound(release, project)
    wanted = [
        *(path for path in read if path.is_file()),
        *bound,
        *_below(project / (release.config_dir or "."), release),
    ]
    hidden = _secret_files(release)
    chosen = {
        path
        for path in map(_plainly, wanted)
        if not _rendered(path) and not any(path.is_relative_to(secret) for secret in hidden)
    }
    problems += [_outside(path, project) for path in sorted(chosen) if not _inside(path, project)]
    problems += template_problems(sorted(path for path in chosen if _is_template(path, release, project)), project)
    if problems:
        raise ReleaseInvalid(list(dict.fromkeys(problems)))
    files = {str(path.relative_to(project)): path for path in sorted(chosen)}
    if compose_binary:
        prove_complete(release, project, files, compose_binary, environment or {})
    return files


def prove_complete(
    release: Release, project: Path, files: Mapping[str, Path], binary: Path, environment: Mapping[str, str]
) -> None:
    """Copy the files apart and let Compose read them there: the same model, or ReleaseInvalid."""
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        copy = Path(folder).resolve() / project.name
        for name, path in files.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy / name)
        model = required_answers(compose(copy, binary, release.compose_files, environment, release.name)).config(("*",))
        different = sorted(_differences(release.compose, _moved(model, str(copy), str(project))))
    if different:
        hint = "a file outside the project, or a .env, is read on this machine only"
        raise ReleaseInvalid(
            [Problem(f"{release.compose_files[0]}: {key}", "reads otherwise from the bundle", hint) for key in different]
        )


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _moved(part, old, new) for key, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, old, new) for part in value]
    return value.replace(old, new) if isinstance(value, str) else value


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for key in one.keys() | other.keys():
        here, there = one.get(key), other.get(key)
        if here != there:
            parts = list(_differences(here, there)) if isinstance(here, dict) and isinstance(there, dict) else []
            yield from (f"{key}.{part}" for part in parts) if parts else [key]


def _bound(release: Release, project: Path) -> tuple[list[Path], list[Problem]]:
    """Files below bind mounts and of `configs`, and the places of those that are not there."""
    found: list[Path] = []
    problems: list[Problem] = []
    for place, source in _sources(release):
        if not Path(source).is_relative_to(project):
            continue
        files = list(_files_at(Path(source)))
        found += files
        if not files:
            hint = "put the file there, or use a named volume for data"
            problems.append(Problem(place, f'"{Path(source).relative_to(project)}" is not there, or empty', hint))
    return found, problems


def _sources(release: Release) -> Iterator[tuple[str, str]]:
    file = release.compose_files[0]
    for service in release.services.values():
        for index, volume in enumerate(service.compose.get("volumes") or []):
            if volume.get("type") == "bind":
                yield f"{file}: services.{service.name}.volumes[{index}]", str(volume["source"])
    for name, config in mapping(release.compose.get("configs")).items():
        if mapping(config).get("file"):
            yield f"{file}: configs.{name}.file", str(config["file"])


def _files_at(path: Path) -> Iterator[Path]:
    """The file, or those below the folder; a file that a template beside it makes counts as that template."""
    template = path.with_name(path.name + TEMPLATE)
    if template.is_file():
        yield template
    elif path.is_dir():
        yield from (entry for entry in sorted(path.rglob("*")) if entry.is_file())
    elif path.is_file():
        yield path


def _below(folder: Path, release: Release) -> Iterator[Path]:
    return _files_at(folder) if release.config_dir else iter(())


def _is_template(path: Path, release: Release, project: Path) -> bool:
    inside = bool(release.config_dir) and path.is_relative_to(project / str(release.config_dir))
    return inside and path.suffix == TEMPLATE and path.is_file()


def _rendered(path: Path) -> bool:
    return path.with_name(path.name + TEMPLATE).is_file()


def _secret_files(release: Release) -> set[Path]:
    secrets = mapping(release.compose.get("secrets")).values()
    return {Path(str(secret["file"])) for secret in map(mapping, secrets) if secret.get("file")}


def _plainly(path: Path) -> Path:
    """Without `..`, and with links on the way kept: where they lead is asked later."""
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return Path(*parts)


def _inside(path: Path, project: Path) -> bool:
    return path.is_relative_to(project) and path.resolve().is_relative_to(project)


def _outside(path: Path, project: Path) -> Problem:
    target = path.resolve()
    return Problem(
        relative(path, project),
        f'leads to "{target}", outside the project',
        "copy it into the project",
    )
