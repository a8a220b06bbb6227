"""What the verbs say of a site on which a run did not end: its hosts' facts are given, all else is real."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from said import Deployctl
from sites import bare

from deployctl.apply import Journal

HOSTS = "all: {children: {server: {hosts: {srv1: {ansible_host: 127.0.0.1, ansible_connection: local}}}}}\n"
FREE = {"run": "", "held": False, "holder": "", "since": 0.0}
WEB = {
    "service": "web", "name": "tiny-web-1", "state": "running", "health": "healthy", "exit_code": 0, "image": "tiny/web:1",
    "labels": {},
}  # fmt: skip
Host = dict[str, Any]


@pytest.fixture
def host(home: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The facts of the one host of acme: an install of tiny was stopped before it wrote a record."""
    folder = home / "inventories/acme"
    folder.mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS)
    facts = bare(
        containers=[WEB], lock=FREE, projects=["tiny"], strangers=["/etc/deployctl/tiny/compose.yaml"],
        lying=["/etc/deployctl/README"], network={"loaded": True, "engine_rules": True},
    )  # fmt: skip
    for verb in ("status", "files", "remove"):
        monkeypatch.setattr(f"deployctl.commands.{verb}.ask_facts", lambda *_, **__: ({"srv1": facts}, []))
    apply_remove = sys.modules["deployctl.apply.remove"]  # apply.remove is the function, too
    monkeypatch.setattr(apply_remove, "ask_facts", lambda *_, **__: ({"srv1": facts}, []))
    return facts


@pytest.fixture
def journal(home: Path, host: Host) -> Path:
    """The journal of that run."""
    path = home / "inventories/acme/.site/journal.sqlite"
    with Journal(path) as journal:
        journal.begin("r1", "install", project="tiny", version="1.2.3", bundle="x.tar", epoch=1)
        journal.end("r1", "interrupted", "KeyboardInterrupt")
    return path


def test_status_shows_what_runs_and_says_that_no_install_recorded_it(deployctl: Deployctl, journal: Path) -> None:
    said = deployctl("status", "--client", "acme")
    assert said.code == 4
    assert said.out.splitlines()[1].split() == ["srv1", "web", "-", "healthy,", "not", "recorded"]
    assert "tiny: the last install (1.2.3" in said.err and "interrupted; run it again" in said.err


def test_a_script_sees_the_run_that_did_not_end(deployctl: Deployctl, journal: Path) -> None:
    said = deployctl("status", "--client", "acme", "--json")
    data = json.loads(said.out)
    assert said.code == 4
    assert [(one["service"], one["state"], one["recorded"]) for one in data["services"]] == [("web", "healthy", False)]
    (run,) = data["unfinished"]
    assert (run["project"], run["command"], run["version"], run["outcome"]) == ("tiny", "install", "1.2.3", "interrupted")
    assert run["started"] <= run["ended"] and run["log"].endswith("/log/r1.log")


def test_once_it_is_at_its_end_nothing_is_said(deployctl: Deployctl, journal: Path, host: Host) -> None:
    host["record"] = {"services": {"web": {}}, "release": {"version": "1.2.3"}, "entrances": []}
    with Journal(journal) as opened:
        opened.settle("r2", "install", "tiny", "1.2.3")
    said = deployctl("status", "--client", "acme", "--json")
    assert (said.code, said.err, json.loads(said.out)["unfinished"]) == (0, "", [])


def test_what_no_journal_explains_is_told_too(deployctl: Deployctl, host: Host) -> None:
    said = deployctl("status", "--client", "acme")
    assert said.code == 4 and "tiny: srv1: what is not recorded was started by no install that ended" in said.err


def test_while_somebody_is_at_it_the_code_says_so(deployctl: Deployctl, host: Host) -> None:
    host["lock"] = {"run": "r9", "held": True, "holder": "berta@deploy", "since": 0.0}
    said = deployctl("status", "--client", "acme")
    assert said.code == 7 and "berta@deploy is changing it" in said.err


def test_an_ill_service_comes_before_a_run_that_did_not_end(deployctl: Deployctl, journal: Path, host: Host) -> None:
    host["containers"] = [WEB | {"health": "unhealthy"}]
    assert deployctl("status", "--client", "acme").code == 5


def test_a_host_with_files_only_is_no_bare_table(deployctl: Deployctl, journal: Path, host: Host) -> None:
    host["containers"] = []
    said = deployctl("status", "--client", "acme")
    assert (said.code, said.out) == (4, "tiny: no container and no record of it on any host, only files\n")


def test_files_calls_nothing_of_ours_a_stranger(deployctl: Deployctl, journal: Path) -> None:
    said = deployctl("files", "--client", "acme")
    assert "stranger" not in said.out and "not ours" not in said.out
    assert "/etc/deployctl/README" in said.out and "an install or a removal that did not end left it" in said.out


@pytest.fixture
def removed(host: Host) -> Host:
    """A removal was here, and left the data."""
    host |= {
        "containers": [], "strangers": [], "lying": [], "projects": [], "network": {"loaded": False},
        "volumes": [{"name": "tiny_data", "project": "tiny"}, {"name": "his", "project": "his"}],
    }  # fmt: skip
    return host


def test_a_removal_that_finds_nothing_says_so_and_what_data_are_left(deployctl: Deployctl, removed: Host) -> None:
    said = deployctl("remove", "--client", "acme", "--project", "tiny")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("tiny at acme: removed from no host; there was nothing\nsrv1 keeps its data: tiny_data; ")
    assert "deployctl remove --client acme --project tiny --volumes tiny_data" in said.out
    assert deployctl("remove", "--client", "acme").out == "nothing of ours is on acme's hosts\n"
    data = json.loads(deployctl("remove", "--client", "acme", "--json").out)
    assert data == {"removed": {}, "volumes": {}, "left": []}


def test_a_volume_that_a_removal_left_may_be_named_later_and_is_asked_for(deployctl: Deployctl, removed: Host) -> None:
    said = deployctl("remove", "--client", "acme", "--project", "tiny", "--volumes", "tiny_data")
    assert said.code == 1 and "[removal-not-confirmed]" in said.err
    assert (
        "DELETE volume tiny_data, with its data" in said.err
        and "remove" not in said.err.partition("DELETE")[0].split("\n", 1)[1]
    )
    unknown = deployctl("remove", "--client", "acme", "--project", "tiny", "--volumes", "his")
    assert unknown.code == 1 and "[volume-unknown]" in unknown.err and "known are: tiny_data" in unknown.err
    whose = deployctl("remove", "--client", "acme", "--volumes", "tiny_data")
    assert whose.code == 1 and "--project PRODUCT --volumes tiny_data" in whose.err


def test_a_product_that_is_nearly_the_one_named_was_meant(deployctl: Deployctl, removed: Host) -> None:
    removed["projects"] = ["tinny"]
    said = deployctl("remove", "--client", "acme", "--project", "tinyy")
    assert said.code == 1 and "nothing of tinyy is on its hosts" in said.err and 'did you mean "tinny"?' in said.err
