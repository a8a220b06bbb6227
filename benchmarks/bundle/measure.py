"""Runs a command and measures what it costs: seconds, memory, what it and the engine write, what lies on the disk meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployctl.rehearsal.images import ensure, image_of
from deployctl.rehearsal.machines import VM

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
    """A dockerd that we may look at: its process, the folder of its data, and where it listens if not where Docker does."""

    pid: str
    root: Path
    host: str = ""

    @staticmethod
    def here() -> Engine:
        """This machine's. Where its process cannot be found, its figures are zero."""
        pid = Path("/run/docker.pid")
        root = subprocess.run(["docker", "info", "-f", "{{.DockerRootDir}}"], capture_output=True, text=True).stdout.strip()
        return Engine(pid.read_text().strip() if pid.exists() else "", Path(root or "/nonexistent"))

    @property
    def environment(self) -> dict[str, str]:
        """For a client of it."""
        return {**os.environ, **({"DOCKER_HOST": self.host} if self.host else {})}

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
        report, environment = Path(folder, "time"), {**engine.environment, "TMPDIR": folder}
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


@contextmanager
def empty_engine(work: Path) -> Iterator[Engine]:
    """A host's engine, as the rehearsal makes hosts (Docker 26.1 of Debian 13), with nothing in it."""
    folder, name = work / "engine", f"deployctl-bench-{os.getpid()}"
    folder.mkdir()
    (folder / "daemon.json").write_text('{"bridge": "none", "iptables": false}')
    kind = image_of("host", "debian-13", docker=True)
    volumes = ["-v", f"{folder}:/bench", "-v", "/var/lib/docker", "-v", "/var/lib/containerd"]
    dockerd = ["--config-file", "/bench/daemon.json", "-H", "unix:///bench/docker.sock"]
    image = ensure([kind], lambda _: None)[kind]
    command = ["docker", "run", "-d", "--name", name, *VM, "--network", "none", *volumes, "--entrypoint", "dockerd", image]
    subprocess.run([*command, *dockerd], check=True, capture_output=True)
    try:
        said = subprocess.run(["docker", "inspect", name], check=True, capture_output=True, text=True).stdout
        about = json.loads(said)[0]
        root = next(mount["Source"] for mount in about["Mounts"] if mount["Destination"] == "/var/lib/docker")
        one = Engine(str(about["State"]["Pid"]), Path(root), f"unix://{folder}/docker.sock")
        while subprocess.run(["docker", "info"], env=one.environment, capture_output=True).returncode:
            time.sleep(0.1)
        yield one
    finally:
        subprocess.run(["docker", "rm", "-fv", name], capture_output=True)


def median(runs: Sequence[Run]) -> Run:
    """The run whose wall time is the median."""
    return sorted(runs, key=lambda one: one.wall)[len(runs) // 2]
