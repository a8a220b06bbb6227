"""Agents that stay for the next question; the way to one is a command, here a shell or Python instead of ssh."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployctl.hosts.session import PROGRAM, READ, Sessions, Silent

AGENT = [sys.executable, "-I", "-c", READ, str(len(PROGRAM))]
FACTS = {"verb": "facts", "project": "none"}
SAY = "printf '\\036{\"pid\": %d}\\n' $$; "
"""An answer that names its process."""


def shell(script: str) -> list[str]:
    """A way whose far end reads the program away, and is then `script`; it ends with the pipe."""
    return ["sh", "-c", f"head -c {len(PROGRAM)} >/dev/null; {script}"]


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    found = Sessions()
    yield found
    found.end()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ask(sessions: Sessions, command: list[str], limit: float = 20, *, again: bool = False) -> dict[str, Any]:
    return sessions.ask(command, FACTS, limit, again=again)


def test_the_agent_answers_one_question_after_the_other(sessions: Sessions) -> None:
    assert [sessions.ask(AGENT, request, 20)["ok"] for request in (FACTS, {"verb": "none"}, FACTS)] == [True, False, True]


def test_one_that_answered_is_asked_again(sessions: Sessions) -> None:
    command = shell(f"while read line; do {SAY} done")
    assert ask(sessions, command) == ask(sessions, command)


def test_questions_at_the_same_time_go_to_several(sessions: Sessions) -> None:
    command = shell(f"while read line; do sleep 0.3; {SAY} done")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ask(sessions, command), range(2))
    assert first != second
    assert ask(sessions, command) in (first, second)


def test_what_else_is_printed_is_passed_over(sessions: Sessions) -> None:
    command = shell(f"echo Welcome; echo '{{}}'; while read line; do echo Hello; {SAY} done")
    assert "pid" in ask(sessions, command)


def test_a_greeting_without_an_end_hides_no_answer(sessions: Sessions) -> None:
    command = shell(f"printf '\\033]0;title\\007'; while read line; do {SAY} printf Hello; done")
    assert ask(sessions, command) == ask(sessions, command)


def test_what_may_be_done_twice_is_asked_anew_where_a_connection_breaks(sessions: Sessions) -> None:
    command = shell(f"read line; {SAY} read line; exit 255")
    first = ask(sessions, command)
    assert ask(sessions, command, again=True) != first
    with pytest.raises(Silent):
        ask(sessions, command)


def test_one_that_ended_before_the_question_is_replaced(sessions: Sessions) -> None:
    command = shell(f"read line; {SAY}")
    first = ask(sessions, command)
    last = time.monotonic() + 10
    while alive(first["pid"]) and time.monotonic() < last:
        time.sleep(0.01)
    assert ask(sessions, command) != first


def test_silence_says_how_it_ended(sessions: Sessions) -> None:
    with pytest.raises(Silent) as caught:
        ask(sessions, ["sh", "-c", "echo no-python3; echo no such file >&2; exit 7"])
    assert (caught.value.code, caught.value.last, caught.value.said, caught.value.late) == (
        7,
        "no-python3",
        "no such file",
        False,
    )


def test_who_takes_too_long_is_ended_and_not_asked_again(sessions: Sessions, tmp_path: Path) -> None:
    command = shell(f"read line; {SAY} echo $$ >> {tmp_path}/asked; read line; exec sleep 60")
    first = ask(sessions, command)
    with pytest.raises(Silent) as caught:
        ask(sessions, command, 0.3, again=True)
    assert caught.value.late
    assert (tmp_path / "asked").read_text().split() == [str(first["pid"])]
    assert not alive(first["pid"])


def test_one_that_reads_nothing_is_too_late_as_well(sessions: Sessions) -> None:
    with pytest.raises(Silent) as caught:
        sessions.ask(["sleep", "60"], {**FACTS, "probes": "x" * (1 << 20)}, 0.3)
    assert caught.value.late


def test_the_limit_holds_for_what_a_shell_started_too(sessions: Sessions) -> None:
    began = time.monotonic()
    with pytest.raises(Silent):
        ask(sessions, shell("sleep 8; echo"), 0.3)
    assert time.monotonic() - began < 5


def test_a_way_that_is_not_there_leaves_nothing_open(sessions: Sessions) -> None:
    with pytest.raises(FileNotFoundError):
        ask(sessions, ["/no/such/ssh"])


def test_half_an_answer_is_none(sessions: Sessions) -> None:
    with pytest.raises(Silent):
        ask(sessions, shell("read line; printf '\\036{}'"))


def test_all_end_with_the_process_that_asked(sessions: Sessions) -> None:
    pids = [ask(sessions, shell(f"while read line; do {SAY} done # {number}"))["pid"] for number in range(3)]
    sessions.end()
    assert not any(alive(pid) for pid in pids)


def test_the_agent_ends_with_its_stdin(sessions: Sessions) -> None:
    sessions.ask(AGENT, FACTS, 20)
    (session,) = sessions._waiting[tuple(AGENT)]
    began = time.monotonic()
    session.end(20)
    assert session._way.returncode == 0
    assert time.monotonic() - began < 2


def test_nothing_of_the_users_own_gets_into_the_agent(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert sessions.ask(AGENT, FACTS, 20)["ok"]
    assert not (tmp_path / "run").exists()
