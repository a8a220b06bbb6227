"""What a run of Ansible that did not end well means: an error for each host, by the part of the work that failed there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploybundle.errors import DeployctlError, SiteError, UnhealthyError
from deployctl.apply.run import Failure, Outcome

LINES = 20


class NotHealthy(UnhealthyError):
    """A service did not get healthy.

    Read the service's own last words in the message. Mend the cause (a setting, a secret, a machine outside) and run the
    same command again, or go back with the earlier bundle, as the message says.
    """

    code = "not-healthy"


class MigrationFailed(UnhealthyError):
    """A service's migration ended with an error, before any container was changed.

    Read its own words in the message. What runs was left alone; mend the cause and run the same command again, or keep the
    earlier release.
    """

    code = "migration-failed"


class HostLost(SiteError):
    """A host that answered before does not answer any more.

    Is the machine on, and the network between? Within a minute its lock is free again; then run the same command.
    """

    code = "host-lost"


class BundleReplaced(SiteError):
    """The bundle's file is another one than when the plan was made.

    Leave the file alone while a command runs. Run the command again: it verifies and plans anew.
    """

    code = "bundle-replaced"


class PackagesNotInstalled(SiteError):
    """The host's apt did not install what the bundle brought for it.

    Read apt's own words: another apt that runs, a package that is held or half installed, a full disk. Nothing is removed in
    the place of ours. Mend that on the host (`apt-get -f install`, `dpkg --configure -a`) and run the same command again.
    """

    code = "packages-not-installed"


class ImageNotLoaded(SiteError):
    """The host's engine did not take an image.

    Read the engine's own words: a full disk (`df` on the host, in Docker's folder) is the usual cause. What arrived is
    kept or gone as a whole; run the same command again.
    """

    code = "image-not-loaded"


class FilesNotWritten(SiteError):
    """The host's files could not be written.

    Look at the path that is named, on that host: a full or read-only disk. Each file is whole, old or new; run the same
    command again.
    """

    code = "files-not-written"


class NetworkNotLoaded(SiteError):
    """The host did not load the rules of isolation.

    `systemctl status deployctl-network` and `journalctl -u deployctl-network` on the host say why. The rules that were loaded
    before hold on.
    """

    code = "network-not-loaded"


class ServicesNotStarted(SiteError):
    """Compose could not start or stop services on the host.

    Read Compose's own words: an image that was removed meanwhile, a port that somebody took, an engine that stopped. Run the
    same command again: it looks anew at what is there.
    """

    code = "services-not-started"


class RecordNotWritten(SiteError):
    """The host runs the release, but its record could not be written.

    Look at /var/lib/deployctl on the host: a full or read-only disk. Run the same command again, so that it is on record.
    """

    code = "record-not-written"


class StepFailed(SiteError):
    """A step on a host failed.

    Read the host's words in the message, and the log whose name it ends with. Mend the cause and run the same command
    again: what is done is not done again.
    """

    code = "step-failed"


BY_CODE = {one.code: one for one in (BundleReplaced, HostLost)}
BY_ROLE = {
    "packages": PackagesNotInstalled,
    "images": ImageNotLoaded,
    "files": FilesNotWritten,
    "network": NetworkNotLoaded,
    "services": ServicesNotStarted,
    "record": RecordNotWritten,
}
MIGRATION = "services : Run the migrations"


def failure(outcome: Outcome, hint: str) -> DeployctlError:
    """One error that says what went wrong on each host: first what is ill, then what failed for another reason."""
    ill = [error for host, services in outcome.unhealthy.items() for error in unhealthy(host, services)]
    others = [_of(one) for one in _causes(outcome) if one.host not in outcome.unhealthy or _is(one) is not ServicesNotStarted]
    found = sorted([*ill, *others], key=lambda error: not isinstance(error, UnhealthyError))
    if not found:
        return StepFailed(f"Ansible ended with {outcome.code}", hint=hint)
    if len(found) == 1:
        found[0].hint = hint
        return found[0]
    return type(found[0])(f"{len(found)} problems; the install stopped", hint=hint, problems=found)


def _causes(outcome: Outcome) -> list[Failure]:
    """The first failure of each host; what fails after it only tells so."""
    return list({failure.host: failure for failure in reversed(outcome.failures)}.values())[::-1]


def _is(failure: Failure) -> type[DeployctlError]:
    """By what our own plugins say, by Ansible's kind of failure, by the role whose task it is."""
    if failure.what == "unreachable":
        return HostLost
    if failure.task == MIGRATION:
        return MigrationFailed
    return BY_CODE.get(failure.code) or BY_ROLE.get(failure.task.partition(" : ")[0]) or StepFailed


def _of(failure: Failure) -> DeployctlError:
    return _is(failure)(f"{failure.task.rpartition(' : ')[2]}: {failure.message}", place=failure.host)


def unhealthy(host: str, services: Sequence[Mapping[str, Any]]) -> Iterator[NotHealthy]:
    """Each service that is ill, what crashed before what only waits; those that were never started share a line."""
    started = [one for one in services if one["state"] != "created"]
    for service in sorted(started, key=lambda one: _rank(one)):
        yield NotHealthy("\n".join(_words(service)), place=host)
    waiting = sorted(one["service"] for one in services if one["state"] == "created")
    if waiting:
        yield NotHealthy(f"not started, since others are not healthy: {', '.join(waiting)}", place=host)


def _rank(service: Mapping[str, Any]) -> int:
    """Crashed, then refused by its check, then still starting."""
    if service["state"] != "running":
        return 0
    return 1 if service["health"] == "unhealthy" else 2


def _words(service: Mapping[str, Any]) -> Iterator[str]:
    state = service["health"] or service["state"]
    if service["state"] != "running":
        state = f"{service['state']}, exit code {service['exit_code']}"
    yield f"{service['service']} is not healthy: {state}"
    if service["check"] and service["state"] == "running":
        yield from (f"    its check said: {line}" for line in service["check"].splitlines()[:3])
    yield from (f"    {line}" for line in service["logs"][-LINES:])
