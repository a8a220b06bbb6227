"""The way to a host as an argv, and the problems of several hosts as one error."""

from __future__ import annotations

import subprocess
from concurrent.futures import Future
from pathlib import Path

import pytest

from deploybundle.errors import LockedError, SiteError
from deployctl.apply.run import playbooks
from deployctl.hosts import HostsFailed, NoAnswer, NoPython, SudoRefused, ask, ssh_command
from deployctl.hosts.errors import collect
from deployctl.hosts.ssh import ALIVE, _silence
from deployctl.site import Host

LOCAL = Host("here", "127.0.0.1", "data", {"ansible_connection": "local"})


def test_the_argv_has_what_the_inventory_says_and_always_checks_the_key() -> None:
    variables = {"ansible_user": "ops", "ansible_port": 2222, "ansible_ssh_common_args": "-o ProxyJump=bastion"}
    argv = ssh_command(Host("db1", "10.0.0.1", "data", variables), Path("/a b/known_hosts"), "docker", "load", "a b")
    assert argv[-3:] == ["10.0.0.1", "--", "docker load 'a b'"]
    assert "ProxyJump=bastion" in argv
    assert "StrictHostKeyChecking=yes" in argv
    assert 'UserKnownHostsFile="/a b/known_hosts"' in argv
    assert argv[argv.index("-p") + 1] == "2222"


def test_openssh_reads_the_options() -> None:
    argv = ssh_command(Host("db1", "10.0.0.1", "data", {"ansible_user": "ops"}), Path("/a b/known_hosts"), "true")
    at = argv.index("10.0.0.1")
    shown = subprocess.run([argv[0], "-G", *argv[1 : at + 1]], capture_output=True, text=True, check=True).stdout
    assert "userknownhostsfile /a b/known_hosts" in shown.replace('"', "")
    assert "batchmode yes" in shown


def test_a_local_host_needs_no_ssh() -> None:
    assert ssh_command(LOCAL, Path("known_hosts"), "true", "x") == ["true", "x"]
    assert ask(LOCAL, Path("known_hosts"), "facts", {"project": "p"})["kernel"]


@pytest.mark.parametrize(
    ("last", "code", "kind"),
    [("deployctl:no-python3", 0, NoPython), ("deployctl:sudo-refused", 0, SudoRefused), ("", 1, NoAnswer)],
)
def test_silence_has_a_reason(last: str, code: int, kind: type[SiteError]) -> None:
    assert isinstance(_silence(LOCAL, Path("known_hosts"), code, last, "words"), kind)


def test_a_python_without_its_library_is_no_fault_of_sudo() -> None:
    said = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'json'"
    found = _silence(LOCAL, Path("known_hosts"), 0, "deployctl:sudo-refused", said)
    assert isinstance(found, NoPython)
    assert "python3-minimal is not enough" in found.hint


def test_an_agent_that_broke_is_no_fault_of_sudo() -> None:
    said = "Traceback (most recent call last):\nTypeError: 'type' object is not subscriptable"
    assert isinstance(_silence(LOCAL, Path("known_hosts"), 1, "deployctl:sudo-refused", said), NoAnswer)


def done(problem: Exception | None) -> Future[str]:
    job: Future[str] = Future()
    job.set_exception(problem) if problem else job.set_result("fine")
    return job


def test_all_problems_come_in_one_error() -> None:
    jobs = {"a": done(SiteError("x", place="a", hint="h")), "b": done(None), "c": done(SiteError("y", place="c", hint="h"))}
    with pytest.raises(HostsFailed) as caught:
        collect(jobs)
    assert str(caught.value) == "2 hosts have a problem\n  a: x\n  c: y"


def test_a_lock_held_by_somebody_else_comes_first() -> None:
    with pytest.raises(LockedError):
        collect({"a": done(SiteError("x")), "b": done(LockedError("y"))})


def test_ansible_takes_a_host_for_lost_after_the_same_time_as_we_do() -> None:
    text = (playbooks() / "ansible.cfg").read_text()
    assert " ".join(ALIVE) in text
