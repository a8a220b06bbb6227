"""The agent's verbs, run as a program as on a host: its answers are JSON text sequences."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployctl.hosts import agent
from deployctl.hosts.session import PROGRAM, READ, RECORD

LEASE = {"project": "p", "holder": "ann@deploy", "run": "r1", "ttl": 60}


def run(verb: str, **request: Any) -> dict[str, Any]:
    asked = json.dumps({"verb": verb, "project": "p", **request}).encode() + b"\n"
    command = [sys.executable, "-I", "-c", READ, str(len(PROGRAM))]
    done = subprocess.run(command, input=PROGRAM + asked, capture_output=True, check=False)
    assert (done.stderr, done.stdout[:1]) == (b"", RECORD)
    answer: dict[str, Any] = json.loads(done.stdout[1:])
    return answer


def lock(root: Path, **change: Any) -> dict[str, Any]:
    return run("lock", **{**LEASE, "root": str(root), **change})


def test_a_lease_in_force_keeps_others_out_and_says_whose_it_is(tmp_path: Path) -> None:
    assert lock(tmp_path)["epoch"] == 1
    refused = lock(tmp_path, run="r2", holder="bob@laptop")
    assert (refused["ok"], refused["error"], refused["lease"]["holder"]) == (False, "locked", "ann@deploy")
    assert refused["lease"]["until"] > refused["lease"]["since"]


def test_a_lease_that_ran_out_is_free_and_the_epoch_grows(tmp_path: Path) -> None:
    lock(tmp_path, ttl=0)
    assert lock(tmp_path, run="r2")["epoch"] == 2


def test_a_lease_of_an_earlier_boot_is_free(tmp_path: Path) -> None:
    lock(tmp_path)
    path = tmp_path / "var/lib/deployctl/p/lock.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    assert lock(tmp_path, run="r2")["ok"]


def test_the_epoch_is_higher_than_the_recorded_one_though_the_lock_file_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/deployctl/p"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text('{"epoch": 7}')
    assert lock(tmp_path)["epoch"] == 8


def test_only_the_holder_renews_and_unlocks(tmp_path: Path) -> None:
    root = str(tmp_path)
    lock(tmp_path)
    (tmp_path / "var/lib/deployctl/p/record.json").write_text('{"epoch": 1}')
    assert run("renew", root=root, run="r1", epoch=1, ttl=60)["ok"]
    assert run("renew", root=root, run="r2", epoch=1, ttl=60)["error"] == "lock-lost"
    assert run("unlock", root=root, run="r1", epoch=0)["error"] == "lock-lost"
    assert run("unlock", root=root, run="r1", epoch=1)["ok"]
    assert lock(tmp_path, run="r2")["epoch"] == 2


def test_a_damaged_lock_is_told_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/deployctl/p"
    folder.mkdir(parents=True)
    (folder / "lock.json").write_text("{")
    answer = lock(tmp_path)
    assert answer["error"] == "damaged"
    assert "lock.json is not JSON" in answer["message"]


def test_probe_tells_open_from_refused() -> None:
    with socket.socket() as listener, socket.socket() as closed:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        closed.bind(("127.0.0.1", 0))
        probes = [
            {"id": name, "from": None, "address": "127.0.0.1", "port": sock.getsockname()[1], "protocol": protocol}
            for name, sock, protocol in [("a", listener, "tcp"), ("b", closed, "tcp"), ("c", listener, "udp")]
        ]
        assert run("probe", probes=probes)["results"] == {"a": "open", "b": "refused", "c": "refused"}


def test_facts_are_told_without_an_engine_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "SOCKETS", (str(tmp_path / "none.sock"),))
    found = agent.facts({"project": "p", "root": str(tmp_path)})
    assert "no Docker engine" in found["docker"]["problem"]
    assert (found["images"], found["containers"], found["record"]) == ([], [], None)
    assert found["free"]["/etc"] > 0 < found["memory"]


def test_facts_name_the_files_of_the_record(tmp_path: Path) -> None:
    state = tmp_path / "var/lib/deployctl/p"
    state.mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    (state / "record.json").write_text(json.dumps({"files": ["/file", "/gone", "/link"]}))
    files = run("facts", root=str(tmp_path))["files"]
    assert (files["/file"]["mode"], files["/link"]["link"], files["/gone"]) == (0o640, "file", None)


def test_facts_say_which_of_the_paths_asked_for_are_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    assert run("facts", root=str(tmp_path), look=["/file", "/link", "/gone"])["lying"] == ["/file", "/link"]


@pytest.mark.docker
def test_facts_name_the_engine_and_its_images() -> None:
    found = run("facts")
    assert found["docker"]["version"]
    assert found["docker"]["store"] in ("classic", "containerd")
    assert "images" not in found  # they are asked for by themselves
    assert all(image["diff_ids"] for image in run("images")["images"])
    assert all(image["diff_ids"] for image in run("facts", images=True)["images"])  # or with all else, as a removal asks


def test_an_unknown_verb_is_an_answer_not_a_traceback() -> None:
    assert run("dance") == {"ok": False, "error": "agent", "message": "KeyError: 'dance'"}


@pytest.mark.parametrize(
    ("text", "address"),
    [("0100007F", "127.0.0.1"), ("00000000", "0.0.0.0"), ("0" * 24 + "01000000", "::1")],  # noqa: S104
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the examples are little-endian")
def test_addresses_as_the_kernel_prints_them(text: str, address: str) -> None:
    assert agent.kernel_address(text) == address


def test_a_log_without_a_terminal_is_taken_out_of_its_frames() -> None:
    framed = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err"
    assert agent.demultiplex(framed) == b"outerr"
    assert agent.demultiplex(b"plain") == b"plain"


def test_the_agent_needs_nothing_newer_than_python_3_9() -> None:
    source = Path(agent.__file__).read_text()
    ast.parse(source, feature_version=(3, 9))


def test_what_dpkg_has_installed_is_read_from_its_own_file(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: docker-ce\nStatus: install ok installed\nVersion: 5:29.0-1\nDescription: x\n Package: not this\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    assert agent.packages({"root": str(tmp_path)}) == {"docker-ce": "5:29.0-1"}
    assert agent.packages({"root": str(tmp_path / "nowhere")}) == {}


@pytest.mark.parametrize(
    ("found", "lacking"),
    [
        ({"docker": {"version": "26"}, "compose": "2.26", "tools": {"nftables": True}}, False),
        ({"docker": {"version": ""}, "compose": "2.26", "tools": {"nftables": True}}, True),
        ({"docker": {"version": "26"}, "compose": "", "tools": {"nftables": True}}, True),
        ({"docker": {"version": "26"}, "compose": "2.26", "tools": {"nftables": False}}, True),
    ],
)
def test_packages_are_only_asked_where_something_is_lacking(found: dict[str, Any], lacking: bool) -> None:
    assert agent.lacking(found) is lacking


@pytest.mark.parametrize(
    ("says", "version"), [('{"Version": "v2.26.1-4"}', "2.26.1-4"), ("{}", ""), ("[]", ""), ("no metadata", ""), (None, "")]
)
def test_compose_is_asked_itself(says: str | None, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "more").mkdir()
    if says is not None:
        (tmp_path / "more/docker-compose").write_text(f"#!/bin/sh\ntest $1 = docker-cli-plugin-metadata && echo '{says}'\n")
    for path in tmp_path.rglob("docker*"):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(agent, "PLUGINS", [str(tmp_path / "more")])
    assert agent.plugin_version(agent.printed(agent.begun(agent.compose_plugin(), agent.METADATA))) == version


def test_the_plugin_is_the_one_that_the_cli_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = ["extra", ".docker/cli-plugins", "system"]
    for file in (tmp_path / "docker", *(tmp_path / folder / "docker-compose" for folder in folders)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o755)
    (tmp_path / ".docker/config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(tmp_path / "extra")]}))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(agent, "PLUGINS", [str(tmp_path / "system")])
    for folder in folders:
        assert agent.compose_plugin() == str(tmp_path / folder / "docker-compose")
        (tmp_path / folder / "docker-compose").unlink()
        (tmp_path / ".docker/config.json").write_text("not JSON")
    assert agent.compose_plugin() == ""


def test_without_the_cli_no_plugin_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker-compose").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(agent, "PLUGINS", [str(tmp_path)])
    assert agent.compose_plugin() == ""
