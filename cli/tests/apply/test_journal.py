"""The journal: runs and steps, in a file that a later version can tell from its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployctl.apply import RunLog, install
from deployctl.apply.journal import SCHEMA, Journal, JournalTooNew

STEP = {"event": "ok", "host": "db1", "task": "Load", "changed": True, "seconds": 1.5}


def test_a_run_and_its_steps_are_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / ".site" / "journal.sqlite"
    with Journal(path) as journal:
        journal.begin("r1", "install", project="shop", version="1.0.0", bundle="x.tar", epoch=3)
        journal.event("r1", STEP)
        journal.event("r1", {"event": "bytes", "host": "db1"})
        journal.end("r1", "failed", "web is unhealthy")
    with Journal(path) as journal:
        (run,) = journal.runs()
        assert (run.id, run.epoch, run.outcome, run.message) == ("r1", 3, "failed", "web is unhealthy")
        assert [(step.host, step.task, step.changed) for step in journal.steps("r1")] == [("db1", "Load", True)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_run_that_died_has_no_outcome(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.begin("r1", "install", project="shop", version="1", bundle="x", epoch=1)
        assert journal.runs()[0].outcome == ""


def test_the_last_run_is_unfinished_until_one_of_the_same_product_is_done_or_has_nothing_to_do(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.begin("r1", "install", project="shop", version="1", bundle="x", epoch=1)
        assert journal.unfinished("shop") and journal.unfinished("other") is None
        journal.end("r1", "interrupted")
        journal.settle("r2", "install", "other", "1")
        assert [run.id for run in journal.runs()] == ["r1"]
        journal.settle("r3", "install", "shop", "1")
        assert journal.unfinished("shop") is None
        assert {run.id: run.outcome for run in journal.runs()} == {"r1": "interrupted", "r3": "done"}


@pytest.mark.parametrize(("held", "outcome"), [(False, "done"), (True, "failed")])
def test_an_install_that_finds_nothing_to_do_ends_what_did_not_end_unless_somebody_is_at_it(
    held: bool, outcome: str, tmp_path: Path
) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.begin("r1", "install", project="shop", version="1", bundle="x", epoch=1)
        journal.end("r1", "failed")
    plan = SimpleNamespace(changed={}, project="shop", version="1")
    site, facts = SimpleNamespace(state=tmp_path), {"srv1": {"lock": {"held": held}}}
    prepared: Any = SimpleNamespace(problems=(), plan=plan, site=site, facts=facts)
    install(prepared, lambda _: None, RunLog(tmp_path))
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.runs()[0].outcome == outcome


def test_a_newer_journal_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    with pytest.raises(JournalTooNew) as caught:
        Journal(path)
    assert str(path) in str(caught.value)
    assert "records" in caught.value.hint
