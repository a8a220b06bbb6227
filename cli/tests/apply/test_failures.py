"""What a run that did not end well is called, and in what order it is told."""

from __future__ import annotations

from typing import Any

import pytest

from deploybundle.errors import DeployctlError
from deployctl.apply.failures import BY_CODE, BY_ROLE, failure
from deployctl.apply.run import Failure, Outcome


def service(name: str, state: str, health: str = "", code: int = 0, logs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"service": name, "state": state, "health": health, "exit_code": code, "check": "no", "logs": list(logs)}


@pytest.mark.parametrize(
    ("task", "what", "said", "code", "exit_code"),
    [
        ("packages : Install the packages", "failed", "", "packages-not-installed", 4),
        ("images : Load what is missing", "failed", "", "image-not-loaded", 4),
        ("images : Load what is missing", "failed", "bundle-replaced", "bundle-replaced", 4),
        ("images : Load what is missing", "failed", "host-lost", "host-lost", 4),
        ("files : Apply the archive", "failed", "", "files-not-written", 4),
        ("network : Load the rules now and before Docker at each start", "failed", "", "network-not-loaded", 4),
        ("services : Run the migrations", "failed", "", "migration-failed", 5),
        ("services : Start and wait until healthy", "failed", "", "services-not-started", 4),
        ("services : Start and wait until healthy", "unreachable", "", "host-lost", 4),
        ("record : Write the record", "failed", "", "record-not-written", 4),
        ("Something else", "failed", "no-such-code", "step-failed", 4),
    ],
)
def test_a_failed_task_is_an_error_of_its_part(task: str, what: str, said: str, code: str, exit_code: int) -> None:
    error = failure(Outcome(2, failures=[Failure("db1", task, what, "the words", said)]), "do this")
    assert (error.code, error.exit_code, error.place, error.hint) == (code, exit_code, "db1", "do this")
    assert error.message == f"{task.rpartition(' : ')[2]}: the words"


def test_the_names_that_plugins_and_roles_use_are_of_the_catalogue() -> None:
    assert all(one.code == code for code, one in BY_CODE.items())
    assert all(issubclass(one, DeployctlError) for one in BY_ROLE.values())


def test_what_crashed_comes_before_what_only_waits_and_a_migration_ends_as_ill_as_a_service() -> None:
    ill = [service("b", "running", "starting"), service("c", "created"), service("d", "created"),
           service("a", "exited", code=3, logs=("out of paper",))]  # fmt: skip
    outcome = Outcome(2, unhealthy={"app1": ill}, failures=[Failure("web1", "files : Apply the archive", "failed", "full")])
    error = failure(outcome, "go back")
    assert (error.code, error.exit_code, error.hint) == ("not-healthy", 5, "go back")
    assert [str(one).splitlines()[0] for one in error.problems] == [
        "app1: a is not healthy: exited, exit code 3",
        "app1: b is not healthy: starting",
        "app1: not started, since others are not healthy: c, d",
        "web1: Apply the archive: full",
    ]
    assert "out of paper" in str(error)


def test_only_the_first_failure_of_a_host_is_told() -> None:
    two = [Failure("a", "files : X", "failed", "first"), Failure("a", "services : Tell", "failed", "second")]
    assert str(failure(Outcome(2, failures=two), "")) == "a: X: first"


def test_ansible_that_fails_without_a_word_is_told_by_its_code() -> None:
    assert str(failure(Outcome(4), "")) == "Ansible ended with 4"
