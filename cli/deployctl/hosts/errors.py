"""What can go wrong on the way to a host, by stable codes; and all hosts' problems as one list."""

from __future__ import annotations

import concurrent.futures
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from deploybundle.errors import DeployctlError, LockedError, SiteError

Answer = TypeVar("Answer")


class Unreachable(SiteError):
    """Nothing answers at the address.

    Is the machine on, is its address right in hosts.yml, and does the firewall let the deploy node reach its SSH port? Try
    `ssh -v` to the address.
    """

    code = "host-unreachable"


class ConnectionRefused(SiteError):
    """The machine answers, but nothing listens on the SSH port.

    Start sshd on the host (`systemctl start ssh`), or set `ansible_port` in hosts.yml.
    """

    code = "ssh-refused"


class SshSilent(SiteError):
    """Something takes connections on the SSH port, but the protocol does not begin, or stops before a login.

    Either it is not sshd, or sshd hangs (look at the host's console), or the network eats large packets: a tunnel with
    a smaller MTU whose ICMP is filtered. `ping -M do -s 1400 HOST` shows that; the client's network team lowers the MTU
    or lets ICMP through.
    """

    code = "ssh-silent"


class HostKeyUnknown(SiteError):
    """No key of this host is pinned.

    `deployctl trust hosts --client …` shows the fingerprints. Compare them with the host's console (`ssh-keygen -lf
    /etc/ssh/ssh_host_ed25519_key.pub`), and pin them.
    """

    code = "host-key-unknown"


class HostKeyChanged(SiteError):
    """Another key than the pinned one: a new machine, or somebody in between.

    If the host was set up anew, compare the fingerprint at its console, then `deployctl trust hosts --replace`. If
    nobody did that, somebody may stand in between: stop, and ask the client's network team.
    """

    code = "host-key-changed"


class LoginRefused(SiteError):
    """The host's sshd does not let this user in.

    Check `ansible_user` and `ansible_ssh_private_key_file` in hosts.yml, and that user's authorized_keys on the host.
    An agent must hold the key if it has a passphrase.
    """

    code = "login-refused"


class SudoRefused(SiteError):
    """The user may not become root without a password.

    Give the user `NOPASSWD: ALL` in a file of /etc/sudoers.d on the host, or log in as root. `sudo -n -l` there shows
    what he may.
    """

    code = "sudo-refused"


class NoPython(SiteError):
    """No Python, or one that is too old.

    `apt-get install python3` on the host. 3.9 or newer is needed; python3-minimal lacks half of the standard library.
    """

    code = "no-python"


class NoDocker(SiteError):
    """No engine, or one that does not answer.

    Install and start Docker on the host: `apt-get install docker.io docker-compose`, `systemctl enable --now docker`.
    """

    code = "no-docker"


class NoAnswer(SiteError):
    """The host was reached, but the agent did not answer.

    Try the same by hand: `ssh HOST sudo -n true`. A host that is overloaded, or whose disk is full, may be too slow.
    Then run the command again.
    """

    code = "no-answer"


class SiteLocked(LockedError):
    """Another run holds the lease on this host.

    Wait, or ask the person that is named. A run that died blocks nobody for longer than its lease, a minute.
    """

    code = "site-locked"


class AgentFailed(SiteError):
    """The host's own state could not be read: what we keep there is damaged, or its engine answers with errors.

    Look at what the message names, on that host. A damaged lock.json or record.json may be moved away: the next install makes
    them again.
    """

    code = "agent-failed"


class LockLost(LockedError):
    """The lease was ours, and is not any more.

    Somebody else works at this site now, or this machine was asleep or cut off for a minute. Look who (`deployctl
    status`), then run the command again.
    """

    code = "lock-lost"


class HostsFailed(SiteError):
    """Several hosts have a problem; each is listed.

    Each host's line has a code of its own: look that one up.
    """

    code = "hosts-failed"

    def __init__(self, problems: Sequence[DeployctlError]) -> None:
        super().__init__(f"{len(problems)} hosts have a problem", problems=problems)


def agent_error(host: str, answer: Mapping[str, Any]) -> DeployctlError:
    """The agent's refusal as an error."""
    code, message = answer["error"], answer["message"]
    if code == "locked":
        return SiteLocked(_who(answer["lease"]), place=host, hint="wait, or let that run end; a dead run's lease runs out")
    if code == "lock-lost":
        return LockLost(message, place=host, hint="somebody else works here now; run the command again")
    if code == "no-docker":
        return NoDocker(message, place=host, hint="install and start Docker there: apt-get install docker.io docker-compose")
    return AgentFailed(message, place=host, hint=f"look at it there; `deployctl explain {AgentFailed.code}` says more")


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
