"""What can go wrong on the way to a host, by stable codes; and all hosts' problems as one list."""

from __future__ import annotations

import concurrent.futures
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from deploybundle.errors import DeployctlError, LockedError, SiteError

Answer = TypeVar("Answer")


class Unreachable(SiteError):
    """Nothing answers at the address."""

    code = "host-unreachable"


class ConnectionRefused(SiteError):
    """The machine answers, but nothing listens on the SSH port."""

    code = "ssh-refused"


class HostKeyUnknown(SiteError):
    """No key of this host is pinned."""

    code = "host-key-unknown"


class HostKeyChanged(SiteError):
    """Another key than the pinned one: a new machine, or somebody in between."""

    code = "host-key-changed"


class LoginRefused(SiteError):
    """The host's sshd does not let this user in."""

    code = "login-refused"


class SudoRefused(SiteError):
    """The user may not become root without a password."""

    code = "sudo-refused"


class NoPython(SiteError):
    """No Python, or one that is too old."""

    code = "no-python"


class NoDocker(SiteError):
    """No engine, or one that does not answer."""

    code = "no-docker"


class NoAnswer(SiteError):
    """The host was reached, but the agent did not answer."""

    code = "no-answer"


class LockLost(LockedError):
    """The lease was ours, and is not any more."""

    code = "lock-lost"


class HostsFailed(SiteError):
    """Several hosts have a problem; `problems` has each."""

    code = "hosts-failed"

    def __init__(self, problems: Sequence[DeployctlError]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)
        self.hint = "\n".join(dict.fromkeys(problem.hint for problem in problems if problem.hint))


def agent_error(host: str, answer: Mapping[str, Any]) -> DeployctlError:
    """The agent's refusal as an error."""
    code, message = answer["error"], answer["message"]
    if code == "locked":
        return LockedError(_who(answer["lease"]), place=host, hint="wait, or let that run end; a dead run's lease runs out")
    if code == "lock-lost":
        return LockLost(message, place=host, hint="somebody else works here now; run the command again")
    if code == "no-docker":
        return NoDocker(message, place=host, hint="install and start Docker there: apt-get install docker.io docker-compose")
    return NoAnswer(message, place=host)


def _who(lease: Mapping[str, Any]) -> str:
    since, until = clock(lease["since"]), clock(lease["until"])
    return f"{lease['holder']} has been changing this host since {since}, lease until {until}"


def clock(seconds: float) -> str:
    """A time of day for people, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def collect(jobs: Mapping[str, concurrent.futures.Future[Answer]]) -> dict[str, Answer]:
    """The answers of all, or one error that holds every problem. A lock held by somebody else comes before the rest."""
    problems = [job.exception() for job in jobs.values() if job.exception() is not None]
    ours = [problem for problem in problems if isinstance(problem, DeployctlError)]
    for problem in problems:
        if problem is not None and not isinstance(problem, DeployctlError):
            raise problem
    locked = [problem for problem in ours if isinstance(problem, LockedError)]
    if locked or len(ours) == 1:
        raise (locked or ours)[0]
    if ours:
        raise HostsFailed(ours)
    return {name: job.result() for name, job in jobs.items()}
