"""Where a release comes from: the commit of its project, whose time stands for the time of building."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


def provenance(project: Path) -> dict[str, Any]:
    """`commit`, `time` (of the commit, ISO 8601, UTC) and `changed` (whether files differ from it); empty outside git.

    The same commit says the same, on any machine and at any time. No address of a repository is told: it may hold a secret.
    """
    commit = _git(project, "log", "-1", "--format=%H %cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--", ".").split()
    if len(commit) != 2:
        return {}
    changed = _git(project, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return {"commit": commit[0], "time": commit[1], "changed": bool(changed.strip())}


def _git(project: Path, *words: str) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    safe = ["-c", f"safe.directory={project.resolve()}", "-c", "core.fsmonitor=false"]
    try:
        done = subprocess.run(["git", *safe, *words], cwd=project, env=environment, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
