"""The run of a playbook as a process: its events, its log, and how it ends."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from deployctl.apply import RunLog
from deployctl.apply import run as module
from deployctl.apply.run import run_playbook
from deployctl.site import Site, load_site

PLAY = """
- name: First
  hosts: all
  gather_facts: false
  tasks:
    - name: Work
      ansible.builtin.command: {command}
    - name: Report
      ansible.builtin.debug: {{msg: fine}}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "hosts.yml").write_text(
        "data: {hosts: {db1: {ansible_host: 127.0.0.1, ansible_connection: local, "
        'ansible_python_interpreter: "{{ ansible_playbook_python }}"}}}\n'
    )
    (tmp_path / "playbooks").mkdir()
    for name in ("ansible.cfg", "callback_plugins"):
        (tmp_path / "playbooks" / name).symlink_to((module.playbooks() / name).resolve())
    monkeypatch.setattr(module, "playbooks", lambda: tmp_path / "playbooks")
    return load_site(folder)


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return RunLog(tmp_path / "log", "r1")


def playbook(site: Site, command: str) -> str:
    (site.folder.parent / "playbooks" / "play.yml").write_text(PLAY.format(command=command))
    return "play"


def test_a_run_reports_its_events_and_keeps_its_log_private(site: Site, log: RunLog) -> None:
    events: list[Any] = []
    outcome = run_playbook(playbook(site, "echo done"), site, Path("plan.json"), events.append, log=log)
    assert outcome.ok
    assert outcome.changed == {"db1": 1}
    assert list(outcome.phases) == ["First"]
    ended = [(event["host"], event["task"], event["changed"]) for event in events if event["event"] == "ok"]
    assert ended == [("db1", "Work", True), ("db1", "Report", False)]
    assert log.path.stat().st_mode & 0o777 == 0o600
    lines = log.path.read_text().splitlines()
    assert any("PLAY RECAP" in line for line in lines)
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line) for line in lines)


def test_a_failure_has_its_host_its_task_and_the_programs_words(site: Site, log: RunLog) -> None:
    outcome = run_playbook(playbook(site, "ls /nowhere"), site, Path("plan.json"), lambda _: None, log=log)
    assert not outcome.ok
    (failure,) = outcome.failures
    assert (failure.host, failure.task, failure.what) == ("db1", "Work", "failed")
    assert "/nowhere" in failure.message


def test_what_watch_raises_ends_the_run_in_time(site: Site, log: RunLog) -> None:
    start = time.monotonic()

    def watch() -> None:
        if time.monotonic() - start > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_playbook(playbook(site, "sleep 60"), site, Path("plan.json"), lambda _: None, log=log, watch=watch)
    assert time.monotonic() - start < 15
