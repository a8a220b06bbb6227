"""The one place that prints. Data go to stdout, talk to stderr; progress only where a person watches."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from deploybundle.errors import DeployctlError
from deploybundle.errors import as_data as problem_data
from deployctl.commands.ends import ending

Step = Callable[[int, int], None]
"""A progress callback: what is done, and the whole; in bytes."""


_notes: list[Callable[[str], None]] = []
_last = [""]


@contextmanager
def noted(log: Path, write: Callable[[str], None]) -> Iterator[None]:
    """What is said meanwhile goes to a run's log, too, and so does what breaks it off; its name is said first."""
    _notes.append(write)
    try:
        say(f"log: {log}")
        yield
    except BaseException as error:
        error.at = _last[0]  # type: ignore[attr-defined]
        write("".join(traceback.format_exception(error)).rstrip())
        error.log = str(log)  # type: ignore[attr-defined]  # for whoever shows it, whatever class it is of
        if isinstance(error, KeyboardInterrupt):
            raise ending(error) from error  # Typer makes a bare exit code of Ctrl-C, and what we know of it would be lost
        raise
    finally:
        _notes.remove(write)


def _note(text: str) -> None:
    for write in _notes:
        with suppress(OSError):
            write(text)


def say(text: str = "") -> None:
    """Talk, for a person. Where nobody listens any more (a terminal that was closed), work goes on."""
    _note(text)
    _last[:] = [text.strip()]
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def out(text: str) -> None:
    """Data, for a person or a pipe."""
    _note(text)
    print(text, flush=True)


def data(value: Any) -> None:
    """Data, for a script."""
    print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)


def error(problem: DeployctlError, *, as_json: bool = False) -> None:
    """What went wrong, where, and the way out; a line ends with the code that `deployctl explain` knows."""
    say("\n".join(_told(problem, "deployctl: ")))
    if problem.log:
        say(f"  the whole log: {problem.log}")
    if as_json:
        data({"error": problem_data(problem)})


def _told(problem: DeployctlError, before: str = "  ") -> Iterator[str]:
    indent = " " * (len(before) - len(before.lstrip()))
    first, *rest = problem.line.splitlines() or [""]
    yield f"{before}{first} [{problem.code}]"
    yield from (f"{indent}{line}" for line in rest)
    for one in problem.problems:
        yield from _told(one, f"{indent}  ")
    yield from (f"{indent}  → {line}" for line in problem.hint.splitlines())


def table(rows: Sequence[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Columns as wide as they need to be, two spaces apart."""
    lines = [[str(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def size(count: int) -> str:
    """Bytes for people, in powers of 1000 as disks and networks are sold."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """A bar with bytes, speed and time left; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def typed(question: str) -> str:
    """What a person types."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def confirm(question: str) -> bool:
    """Ask a person. Where nobody can answer, the answer is no."""
    if not sys.stdin.isatty():
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
