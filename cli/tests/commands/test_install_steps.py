"""Which of Ansible's steps a person is told: those that are done, not those that are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deployctl.commands.install import QUIET, WORK, Teller, idle
from deployctl.plan import HostPlan, Plan

NOTHING: dict[str, Any] = {
    "encoding": "raw", "images": (), "write": (), "remove": (), "network": False, "services": {}, "waves": {}, "stop": (),
    "migrate": (), "first": False, "record": {}, "recorded": True,
}  # fmt: skip


def plan(**steps: Any) -> Plan:
    hosts = {name: HostPlan(name, **{**NOTHING, **more}) for name, more in (("db1", {}), ("app1", steps))}
    return Plan("acme", "shop", "1.0.0", "shop.tar", 2, hosts)


def test_what_one_host_at_least_has_work_for_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell = Teller(
        lambda *_: None, 0, idle(plan(write=("/etc/deployctl/README",), migrate=((1, "app-migrate"),), recorded=False))
    )
    for task in (
        "The plan", "packages : Send the packages", "images : Load what is missing", "files : Apply the archive",
        "files : Apply the archive", "services : Run the migrations", "services : Remove what cannot be started again",
        "services : Start and wait until healthy", "record : Write the record",
    ):  # fmt: skip
        tell({"event": "start", "task": task, "host": "app1"})
    told = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert told == ["Apply the archive", "Run the migrations", "Start and wait until healthy", "Write the record"]


def test_a_step_that_fails_is_told_even_if_nobody_expected_it(capsys: pytest.CaptureFixture[str]) -> None:
    tell = Teller(lambda *_: None, 0, idle(plan(network=True)))
    tell({"event": "failed", "task": "packages : What is lacking", "host": "db1"})
    assert capsys.readouterr().err == "  db1: failed: packages : What is lacking\n"


def test_what_may_be_idle_or_quiet_is_a_role_or_a_step_of_one() -> None:
    roles = Path(__file__).resolve().parents[3] / "roles"
    tasks = {task["name"] for file in roles.glob("*/tasks/*.yml") for task in yaml.safe_load(file.read_text())}
    assert set(WORK) <= tasks | {role.name for role in roles.iterdir()}
    assert all(any(name.startswith(words) for name in {*tasks, "Validating arguments"}) for words in QUIET)
