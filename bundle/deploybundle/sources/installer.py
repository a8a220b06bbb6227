"""Where the bare-host installer lies: one script of the standard library that the bundle carries as a blob."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def installer() -> Path:
    """The script that puts deployctl onto a machine that has only Python."""
    return Path(str(files("deploybundle.sources") / "install.py"))
