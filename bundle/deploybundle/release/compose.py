"""Compose's own binary reads the files, here and at the site: nobody writes a Compose parser.

Seen with 2.26.1: `config --format json` drops `x-deployctl` of services (YAML keeps it); `--no-interpolate` corrupts
values; `--variables` prints a table whatever the format, in another order each time, and works without any answer.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .problems import ComposeMissing, ComposeRefused
from .raw import load_answer

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_LOG_LINE = re.compile(r"^time=\"[^\"]*\" level=(\w+) msg=")
_COLUMNS = ("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")


@dataclass(frozen=True)
class Variable:
    """A variable of the Compose files, as Compose lists it."""

    name: str
    required: bool
    default: str


WAYS = (
    ("neither an image nor a build", "if its image is a variable, give it a default: ${NAME:-repository:tag}"),
    (
        "Additional property",
        "a key that Compose does not know: misspelt, or in the wrong place? Ours stand below x-deployctl",
    ),
    ("yaml:", "mend the YAML at that line; `docker compose config` reads it as we do"),
)
"""What Compose says, and the way out that it does not say."""


@dataclass(frozen=True)
class Compose:
    """One project's files and the binary that reads them, with nothing of our own environment."""

    binary: Path
    project_dir: Path
    files: tuple[str, ...]
    environment: Mapping[str, str]
    name: str | None = None

    def config(self, profiles: Sequence[str]) -> dict[str, Any]:
        """The normalised model: interpolated, paths absolute, env_files read. Raises ComposeRefused."""
        wanted = [word for profile in profiles for word in ("--profile", profile)]
        return dict(load_answer(self._run(*wanted, "config")))

    def variables(self) -> list[Variable]:
        """All variables of the files, sorted by name; those only in an env_file are not among them."""
        return parse_variables(self._run("--profile", "*", "config", "--variables"))

    def with_environment(self, environment: Mapping[str, str]) -> Compose:
        """The same project with other answers."""
        return replace(self, environment=environment)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._prefix(), *words],
            env=dict(self.environment),
            capture_output=True,
            check=False,
            cwd=self.project_dir,
        )
        if done.returncode:
            raise self._refused(done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    def _prefix(self) -> list[str]:
        # /dev/null: a `.env` is a laptop's own, and no release
        prefix = [str(self.binary), "--project-directory", str(self.project_dir), "--env-file", "/dev/null"]
        prefix += ["--project-name", self.name] if self.name else []
        return prefix + [word for file in self.files for word in ("--file", str(self.project_dir / file))]

    def _refused(self, stderr: str) -> ComposeRefused:
        lines = [line for line in stderr.splitlines() if line.strip() and not _LOG_LINE.match(line)]
        text = "\n".join(lines).removeprefix("validating ").replace(f"{self.project_dir}/", "")
        text = text.removesuffix(": invalid compose project")
        for file in self.files:
            text = text.removeprefix(f"{file}: ")
        way = next((way for said, way in WAYS if said in text), "")
        return ComposeRefused(text or stderr.strip(), place=self.files[0], hint=way)


def find_files(project_dir: Path, files: Sequence[str]) -> tuple[str, ...]:
    """The Compose files, relative to the project. Without any named: the usual one, and no override file."""
    if not files:
        return (_default_file(project_dir),)
    for file in files:
        if not (project_dir / file).is_file():
            raise ComposeMissing("no such file", place=file, hint=f"looked in {project_dir}")
    return tuple(files)


def _default_file(project_dir: Path) -> str:
    for name in FILE_NAMES:
        if (project_dir / name).is_file():
            return name
    raise ComposeMissing("no compose.yaml here", place=str(project_dir), hint="name the project's folder, or its files")


def compose(project_dir: Path, binary: Path, files: Sequence[str], environment: Mapping[str, str], name: str | None) -> Compose:
    """The reader of one project; raises ComposeMissing when there is no file or no binary."""
    if not binary.is_file():
        raise ComposeMissing("no Compose binary", place=str(binary), hint="install the docker-compose plugin")
    project_dir = project_dir.resolve()
    return Compose(binary, project_dir, find_files(project_dir, files), environment, name)


def parse_variables(table: str) -> list[Variable]:
    """Rows of Compose's table, cut where the columns of its header begin."""
    header, *rows = table.splitlines() or [""]
    starts = [header.find(column) for column in _COLUMNS]
    if -1 in starts:
        return []
    return sorted((_variable(row, starts) for row in rows if row.strip()), key=lambda variable: variable.name)


def _variable(row: str, starts: Sequence[int]) -> Variable:
    name, required, default = (row[begin:end].strip() for begin, end in zip(starts, starts[1:], strict=False))
    return Variable(name, required == "true", default)
