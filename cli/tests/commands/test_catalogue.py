"""The catalogue of errors: each has a name of its own, says what it means and what to do, and is tried somewhere."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from said import Deployctl

from deploybundle.errors import DeployctlError, below
from deployctl.commands.catalogue import catalogue
from deployctl.commands.exits import Exit
from deployctl.commands.main import app

TOP = Path(__file__).resolve().parents[3]
CODES = catalogue()
GROUPS = {one.__name__ for one in (DeployctlError, *DeployctlError.__subclasses__())}


@pytest.mark.parametrize("one", sorted({*below()} - {one for one in below() if "tests" in one.__module__}, key=str))
def test_every_error_has_a_code_of_its_own_a_meaning_and_a_way_out(one: type[DeployctlError]) -> None:
    assert "code" in vars(one), "its code is inherited"
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.code)
    assert one.exit_code in set(Exit)
    assert one.meaning().endswith(".") and len(one.meaning()) > 10
    assert len(one.way_out().split()) >= 4, "its docstring does not say what to do"


def test_no_two_errors_share_a_code() -> None:
    assert {code: count for code, count in Counter(one.code for one in set(below())).items() if count > 1} == {}


def sources() -> Iterator[Path]:
    for folder in ("bundle/deploybundle", "cli/deployctl", "roles"):
        yield from (path for path in (TOP / folder).rglob("*.py") if "/data/" not in str(path))


def test_nobody_raises_a_group_instead_of_an_error_of_its_own() -> None:
    found = [
        f"{path.relative_to(TOP)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GROUPS
    ]
    assert found == []


def test_explain_says_what_the_page_says(deployctl: Deployctl) -> None:
    said = deployctl("explain", "host-key-changed")
    assert said.code == Exit.DONE
    assert "Another key than the pinned one" in said.out and "trust hosts --replace" in said.out
    assert deployctl("explain", "[host-key-changed]").out == said.out
    page = (TOP / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    known = json.loads(deployctl("explain", "--json").out)
    assert [one["code"] for one in known] == sorted(CODES)
    assert not [one for one in known if one["what_to_do"] not in page]


def test_explain_guesses_a_code_that_is_misspelt(deployctl: Deployctl) -> None:
    said = deployctl("explain", "host-key-change")
    assert (said.code, said.out) == (Exit.INPUT, "")
    assert "[code-unknown]" in said.err and 'did you mean "host-key-changed"?' in said.err


def test_with_json_an_error_is_json_too(deployctl: Deployctl) -> None:
    said = deployctl("explain", "host-key-change", "--json")
    error = json.loads(said.out)["error"]
    assert (error["code"], error["exit_code"], said.code) == ("code-unknown", 1, 1)
    assert error["hint"] == 'did you mean "host-key-changed"?'
    assert json.loads(deployctl("explain", "--nope", "--json").out)["error"]["code"] == "usage"


REPORTS = {
    "bundle", "diff", "explain", "files", "flows", "import", "inspect", "install", "keygen", "keyset show", "plan", "preflight",
    "prune", "rehearse status", "remove",
    "secrets generate", "status", "trust hosts", "trust show", "verify",
}  # fmt: skip
ACTS = {
    "client new", "keyset add", "keyset retire", "keyset revoke", "receipt", "rehearse down", "rehearse reset",
    "rehearse shell", "rehearse up", "render", "trust add", "trust revoke",
}  # fmt: skip
"""What these leave behind is files, keys and machines; their exit code says whether they could."""


def walked(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(words), command
    for name, one in (below or {}).items():
        yield from walked(one, (*words, name))


VERBS = dict(walked(typer.main.get_command(app)))


def test_every_verb_is_known_to_report_or_to_act() -> None:
    assert set(VERBS) - REPORTS - ACTS == set(), "name the new verb above"


@pytest.mark.parametrize("verb", sorted(REPORTS & set(VERBS)))
def test_what_reports_has_json(verb: str) -> None:
    assert any("--json" in option.opts for option in VERBS[verb].params)


def test_every_error_is_made_to_happen_by_a_test() -> None:
    """By its code, or by its class: `"disk-full"`, `[disk-full]`, `DiskFull`."""
    folders = ("bundle/tests", "cli/tests", "tests/e2e")
    files = [path for folder in folders for path in (TOP / folder).rglob("*.*") if path.suffix in (".py", ".yaml")]
    tests = "\n".join(path.read_text() for path in files)
    names = {code: rf'[\["]{code}[\]"]|code: {code}\n|\b{one.__name__}\b' for code, one in CODES.items()}
    assert [code for code, name in names.items() if not re.search(name, tests)] == []
