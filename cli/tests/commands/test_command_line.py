"""What holds for every verb: help with an example, exit codes, one message."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from said import Deployctl

from deploybundle import errors
from deployctl import __version__
from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.commands.main import app


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every verb that has no verbs below it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield words
    for name, one in (below or {}).items():
        yield from verbs(one, (*words, name))


VERBS = sorted(verbs(typer.main.get_command(app)))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_of_every_verb_has_an_example_that_the_command_line_takes(verb: tuple[str, ...], deployctl: Deployctl) -> None:
    said = deployctl(*verb, "--help")
    assert (said.code, said.err) == (0, "")
    example = " ".join(said.out.partition("Example: ")[2].split())
    assert example.startswith(" ".join(["deployctl", *verb]))
    assert all("--" not in word or word in said.out for word in example.partition(";")[0].split())


def test_there_are_the_verbs_that_the_documentation_names() -> None:
    assert {verb[0] for verb in VERBS} == {
        "keygen", "keyset", "bundle", "inspect", "diff", "verify", "trust", "client", "secrets", "preflight", "plan", "install",
        "status", "flows", "render", "rehearse", "explain", "remove", "files", "import", "prune", "receipt",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ["instal"], ["--nope"], ["install"], ["install", "--client"], ["plan", "--client", "acme", "--nope", "x"],
        ["bundle", "--level", "20"], ["bundle", "--level", "much"], ["client"], ["client", "new"], ["keygen", "left", "over"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_line_that_is_not_understood_ends_with_2_and_stdout_is_empty(words: list[str], deployctl: Deployctl) -> None:
    said = deployctl(*words)
    assert said.code == Exit.USAGE
    assert said.out == ""
    assert "unexpected:" not in said.err


def test_the_program_itself_says_its_version_and_its_code() -> None:
    shown = subprocess.run([sys.executable, "-m", "deployctl", "--version"], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (0, f"deployctl {__version__}\n")
    wrong = subprocess.run([sys.executable, "-m", "deployctl", "nonsense"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "nonsense" in wrong.stderr


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.InputError, Exit.INPUT), (errors.RefusedError, Exit.REFUSED), (errors.SiteError, Exit.SITE),
        (errors.UnhealthyError, Exit.UNHEALTHY), (errors.FlowError, Exit.FLOWS), (errors.LockedError, Exit.LOCKED),
        (errors.InternalBug, Exit.UNEXPECTED),
    ],
)  # fmt: skip
def test_each_group_of_errors_has_its_code_and_is_told_with_its_hint(
    problem: type[errors.DeployctlError], code: Exit, deployctl: Deployctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise problem("is wrong", place="here", hint="mend it")

    monkeypatch.setattr("deployctl.commands.trust.load_trust", fail)
    assert deployctl("trust", "show") == (code, "", f"deployctl: here: is wrong [{problem.code}]\n  → mend it\n")


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (KeyboardInterrupt(), Exit.INTERRUPTED, "run the same command again"),
        (typer.Abort(), Exit.INTERRUPTED, "interrupted"),
        (ZeroDivisionError("ours"), Exit.UNEXPECTED, "unexpected: ZeroDivisionError: ours"),
    ],
)
def test_what_nobody_expected_is_one_message_and_a_traceback_for_those_who_ask(
    problem: BaseException, code: Exit, says: str, deployctl: Deployctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise problem

    monkeypatch.setattr("deployctl.commands.trust.load_trust", fail)
    said = deployctl("trust", "show")
    assert (said.code, said.out) == (code, "")
    assert says in said.err and "Traceback" not in said.err
    if code == Exit.UNEXPECTED:
        monkeypatch.setenv("DEPLOYCTL_DEBUG", "1")
        assert "Traceback" in deployctl("trust", "show").err


@pytest.mark.parametrize("words", [["status"], ["trust", "hosts"], ["secrets", "generate", "."]], ids=" ".join)
def test_an_unknown_client_is_named_with_the_nearest(words: list[str], deployctl: Deployctl, home: Path) -> None:
    assert deployctl("client", "new", "acme").code == 0
    said = deployctl(*words, "--client", "acne")
    assert said.code == Exit.INPUT
    assert (
        said.err
        == f'deployctl: {home}/inventories/acne: no inventory for client "acne" [no-such-client]\n  → did you mean "acme"?\n'
    )


@pytest.mark.parametrize(
    "words",
    [
        ["keygen", "--passphrase-file", "nowhere"], ["bundle", "--key", "nowhere"],
        ["bundle", "--passphrase-file", "nowhere"], ["bundle", "nowhere"], ["verify", "nowhere", "--key", "nowhere"],
        ["inspect", "nowhere"], ["trust", "add", "nowhere"], ["render", "nowhere"],
        ["status", "--client", "acme", "--inventories", "nowhere"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_file_that_is_not_there_is_no_bug_of_ours(words: list[str], deployctl: Deployctl) -> None:
    said = deployctl(*words)
    assert said.code in (Exit.INPUT, Exit.USAGE, Exit.REFUSED)
    assert said.out == ""
    assert "unexpected:" not in said.err


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (1_500_000, "1.5 MB"), (10**13, "10000 GB")],
)
def test_sizes_are_told_as_disks_are_sold(count: int, text: str) -> None:
    assert show.size(count) == text


def test_a_table_is_as_wide_as_it_needs() -> None:
    assert show.table([("a", 1), ("bbb", 22)], ("n", "c")) == "n    c\na    1\nbbb  22"
    assert show.table([]) == ""


def test_where_nobody_can_answer_the_answer_is_no(home: Path) -> None:
    assert not show.confirm("Really?")
