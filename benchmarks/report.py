"""What every benchmark does in the end: print a table, write its section of docs/benchmarks.md, count the aims."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Aim:
    """A figure that should not be above its limit; with `least`, not below."""

    name: str
    value: float
    limit: float
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it keeps to its limit."""
        return self.value >= self.limit if self.least else self.value <= self.limit

    def row(self) -> tuple[str, ...]:
        """As a line of a table."""
        words, most = "met" if self.met else "missed", "at least" if self.least else "at most"
        return self.name, f"{most} {self.limit:g} {self.unit}".strip(), f"{self.value:.3g} {self.unit}".strip(), words


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its columns aligned so that a terminal shows it well too."""
    widths = [max(len(row[number]) for row in [head, *rows]) for number in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    cells = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def finish(name: str, title: str, parts: Sequence[str], aims: Sequence[Aim]) -> None:
    """Print the parts and the aims, and write them as the section `name` of the page."""
    met = sum(aim.met for aim in aims)
    result = f"aims: {met} met, {len(aims) - met} missed"
    whole = [*parts, table(("what", "aim", "measured", ""), [aim.row() for aim in aims])]
    _write(name, "\n\n".join([f"## {title}", machine(), *whole, result]))
    sys.stdout.write("\n\n".join([*whole, result]) + "\n")


def machine() -> str:
    """Where and when, and how busy the machine was with other things: figures are worth nothing without."""
    engine = subprocess.run(["docker", "version", "-f", "{{.Server.Version}}"], capture_output=True, text=True, check=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load, docker = os.getloadavg()[2], engine.stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} × {model[1] if model else platform.machine()}, {memory:.0f} GiB,"
        f" Linux {platform.release()}, Docker {docker}; the machine's load over the last 15 minutes was {load:.1f}."
    )


def _write(name: str, text: str) -> None:
    """Replace the section of this name, or add it."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n\nWritten by `make bench`; each section by its own target.\n"
    section = f"{begin}\n\n{text}\n\n{end}"
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", page, re.DOTALL)
    PAGE.write_text(page.replace(found[0], section) if found else f"{page}\n{section}\n")
