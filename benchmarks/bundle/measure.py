"""Runs a command and measures what it costs: seconds, memory, what it and the engine write, what lies on the disk meanwhile."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STEP = 0.05
BLOCK = 512


@dataclass
class Run:
    """Seconds (wall, own processor, the engine's); bytes: largest process, written by both, made, on the disk meanwhile."""

    wall: float
    cpu: float
    engine: float
    memory: int
    written: int
    size: int
    temporary: int
    said: str


@dataclass
class Engine:
    """dockerd of this machine, where we may look at it."""

    pid: str
    root: Path

    @staticmethod
    def find() -> Engine:
        """Without one, its figures are zero."""
        pid = subprocess.run(["pidof", "dockerd"], capture_output=True, text=True).stdout.split()
        root = subprocess.run(["docker", "info", "-f", "{{.DockerRootDir}}"], capture_output=True, text=True).stdout.strip()
        return Engine(pid[0] if pid else "", Path(root or "/nonexistent"))

    def seconds(self) -> float:
        """Processor seconds so far, its children's included."""
        if not self.pid:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def written(self) -> int:
        """Bytes that it and its ended children wrote so far."""
        try:
            said = Path(f"/proc/{self.pid}/io").read_text()
        except OSError:
            return 0
        return int(next(line for line in said.splitlines() if line.startswith("write_bytes")).split()[1])


class Disk:
    """The most bytes that lay below some folders while it watched, above what was there before."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders, self.peak, self._end = folders, 0, threading.Event()
        self._before = self._now()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Disk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(STEP):
            self.peak = max(self.peak, self._now() - self._before)

    def _now(self) -> int:
        return sum(map(_size, self.folders))


def _size(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * BLOCK
            except OSError:
                continue
    return total


def run(command: Sequence[str], made: Path | None, work: Path, engine: Engine) -> Run:
    """Run a command in a temporary folder of its own; `made` is what it makes, below `work`."""
    with tempfile.TemporaryDirectory(dir=work) as folder, Disk([work, engine.root / "tmp"]) as disk:
        report, environment = Path(folder, "time"), {**os.environ, "TMPDIR": folder}
        before, written = engine.seconds(), engine.written()
        timed = ["/usr/bin/time", "-o", str(report), "-f", "%e %U %S %M %O", *command]
        done = subprocess.run(timed, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
        wall, user, system, memory, blocks = map(float, report.read_text().split())
    size = made.stat().st_size if made and made.is_file() else 0
    both = int(blocks) * BLOCK + engine.written() - written
    cpu = engine.seconds() - before
    return Run(wall, user + system, cpu, int(memory) << 10, both, size, max(0, disk.peak - size), done.stdout)


def median(runs: Sequence[Run]) -> Run:
    """The run whose wall time is the median."""
    return sorted(runs, key=lambda one: one.wall)[len(runs) // 2]
