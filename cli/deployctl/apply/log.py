"""The log of one run: a file of one's own, a time before each line. Ansible and deployctl say the same things into it."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

from deployctl.site import Site


class RunLog:
    """`run` is the run's name in the journal, the records and the locks; `path` the file, mode 0600."""

    def __init__(self, folder: Path, run: str = "") -> None:
        self.run = run or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.path = folder / f"{self.run}.log"
        self._one = threading.Lock()

    def write(self, text: str) -> None:
        """Add text; each of its lines gets the time of now, in UTC."""
        now = f"{datetime.now(UTC):%H:%M:%S.%f}"[:-3]
        lines = "".join(f"{now} {line}\n" for line in text.splitlines())
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._one, open(self.path, "a", encoding="utf-8", opener=_private) as file:
            file.write(lines)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def log_of(site: Site, run: str = "") -> RunLog:
    """A new log of a run at this site."""
    return RunLog(site.state / "log", run)
