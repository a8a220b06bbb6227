"""The run of Ansible: a process of its own, its events as they come, its whole log in a file."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from deployctl.apply.log import RunLog
from deployctl.apply.work import work_folder
from deployctl.hosts.events import EVENTS
from deployctl.hosts.ssh import control_folder
from deployctl.site import Site, ansible_environment, ansible_program, inventory_view

Event = Mapping[str, Any]
TICK = 0.05
PATIENCE = 10.0
"""Seconds that Ansible may take to end after it was told to, before it is killed."""


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host. `what` is failed or unreachable; `code` is what a plugin of ours calls it, if it does."""

    host: str
    task: str
    what: str
    message: str
    code: str = ""


@dataclass
class Outcome:
    """What a run came to. `unhealthy` by host: service, state, health, exit_code, check, logs; `bytes` by host: sent."""

    code: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unhealthy: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether all hosts are as the plan says."""
        return self.code == 0 and not self.failures


def run_playbook(
    playbook: str, site: Site, plan_file: Path, events: Callable[[Event], None], *,
    log: RunLog, env: Mapping[str, str] | None = None, watch: Callable[[], None] = lambda: None,
    arguments: tuple[str, ...] = (),
) -> Outcome:  # fmt: skip
    """Run one of our playbooks ("install") with a plan, and report its events as they come.

    `watch` is called all the time; what it raises (a lost lease) ends the run, as Ctrl-C does: Ansible is told, then
    waited for, and the exception goes on.
    """
    outcome = Outcome()
    with work_folder() as work:
        command = _command(playbook, site, plan_file, work)
        for name in ("events", "said"):
            (work / name).touch(mode=0o600)
        with (work / "said").open("a") as out, _Lines(work / "events") as told, _Lines(work / "said") as said:
            process = _start([*command, *arguments], _environment(work, env or {}), out)
            with _stopped_at_the_end(process), _copied(said, log):
                counting = _Counting(outcome, events)
                _follow(process, lambda: [*map(counting, map(json.loads, told.new())), *map(log.write, said.new())], watch)
        outcome.code = process.returncode
    return outcome


def _command(playbook: str, site: Site, plan_file: Path, work: Path) -> list[str]:
    variables = {
        "deployctl_plan_file": str(plan_file),
        "deployctl_known_hosts": str(site.known_hosts.absolute()),
        "deployctl_state": str(site.state.absolute()),  # the inventory that Ansible gets is a view elsewhere
    }
    (work / "variables.json").write_text(json.dumps(variables))
    (work / "inventory").mkdir()
    view = inventory_view(site.folder, work / "inventory")
    path = playbooks() / f"{playbook}.yml"
    return [*ansible_program("ansible-playbook"), "-i", str(view), "-e", f"@{work / 'variables.json'}", str(path)]


def playbooks() -> Path:
    """The folder of our playbooks, in the checkout or in the wheel."""
    return Path(str(importlib.resources.files("deployctl") / "data" / "playbooks"))


def _environment(work: Path, more: Mapping[str, str]) -> dict[str, str]:
    return {
        **ansible_environment(),
        "ANSIBLE_CONFIG": str(playbooks() / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH": f"{control_folder()}/%%C",
        "ANSIBLE_LOCAL_TEMP": str(work / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
        EVENTS: str(work / "events"),
        **more,
    }


def _start(command: list[str], env: dict[str, str], log: TextIO) -> subprocess.Popen[bytes]:
    """In a session of its own: the terminal's Ctrl-C reaches us alone, and we decide in which order things end.

    The kernel interrupts it when we are killed: nobody would renew the lock any more, so nobody may go on.
    """
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "INT", *command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@contextlib.contextmanager
def _stopped_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever ends the block, the process is over afterwards: asked first, then told, then killed."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)


class _Lines:
    """The lines of a file that another process writes, as they come. A pipe would stay open as long as ssh's master lives."""

    def __init__(self, path: Path) -> None:
        self.file, self.rest = path.open(encoding="utf-8", errors="replace"), ""

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def new(self) -> list[str]:
        """The lines that were ended since the last time."""
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        return lines


@contextlib.contextmanager
def _copied(said: _Lines, log: RunLog) -> Iterator[None]:
    """What Ansible said at last is in the log, too, also where the run was broken off."""
    try:
        yield
    finally:
        for line in [*said.new(), said.rest]:
            log.write(line)


def _follow(process: subprocess.Popen[bytes], report: Callable[[], object], watch: Callable[[], None]) -> None:
    over = False
    while not over:
        over = process.poll() is not None  # asked before the read, so that nothing written before the end is missed
        report()
        watch()
        if not over:
            time.sleep(TICK)


class _Counting:
    """Adds events up to the outcome, and passes them on."""

    def __init__(self, outcome: Outcome, events: Callable[[Event], None]) -> None:
        self.outcome, self.events = outcome, events
        self.play, self.since = "", time.time()
        self.sent: dict[tuple[str, str], int] = {}

    def __call__(self, event: Event) -> None:
        counter = getattr(self, f"_{event['event']}", None)
        if counter:
            counter(event)
        self.events(event)

    def _play(self, event: Event) -> None:
        now = float(event["time"])
        if self.play:
            self.outcome.phases[self.play] = round(now - self.since, 3)
        self.play, self.since = str(event.get("name", "")), now

    def _stats(self, event: Event) -> None:
        self._play({"time": event["time"]})
        self.outcome.changed = {host: int(counts["changed"]) for host, counts in event["hosts"].items()}

    def _ok(self, event: Event) -> None:
        found = event.get("data", {}).get("unhealthy")
        if found:
            self.outcome.unhealthy[event["host"]] = found

    def _bytes(self, event: Event) -> None:
        self.sent[event["host"], event["image"]] = int(event["sent"])
        host = event["host"]
        self.outcome.bytes[host] = sum(sent for (name, _), sent in self.sent.items() if name == host)

    def _failed(self, event: Event) -> None:
        code = (event.get("data") or {}).get("error", "")
        self.outcome.failures.append(Failure(event["host"], event["task"], event["event"], event["message"], code))

    _unreachable = _failed
