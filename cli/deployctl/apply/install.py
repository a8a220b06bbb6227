"""The install: lock, look again, apply, record. Stop it anywhere and run it again; it ends in the same state."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from deploybundle.errors import DeployctlError, LockedError, SiteError, UnhealthyError
from deployctl.apply.journal import Journal, now
from deployctl.apply.lease import Lease, hold
from deployctl.apply.prepare import Prepared, again
from deployctl.apply.run import Event, Failure, Outcome, run_playbook
from deployctl.apply.stage import stage, work_folder
from deployctl.verify import PreflightFailed


class SiteMoved(LockedError):
    """Between the plan that was shown and the lock, somebody changed the site.

    Somebody else changed the site in between. Run the command again: it plans anew from what is there now.
    """

    code = "site-moved"


class NotHealthy(UnhealthyError):
    """A service did not get healthy.

    Read the service's own last words in the message. Mend the cause (a setting, a secret, a machine outside) and run the same
    command again, or go back with the earlier bundle, as the message says.
    """

    code = "not-healthy"


class StepFailed(SiteError):
    """A step on a host failed.

    Read the host's words in the message, and the log whose name it ends with. Mend the cause and run the same command again:
    what is done is not done again.
    """

    code = "step-failed"


def install(prepared: Prepared, events: Callable[[Event], None]) -> Outcome:
    """Bring the hosts to what they shall have; nothing is done, and nobody asked, when they have it.

    Raises PreflightFailed before anything changes; LockedError, SiteError or UnhealthyError when it did not end well.
    """
    ready(prepared)
    if not prepared.plan.changed:
        return Outcome()
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    with hold(prepared.site, prepared.hosts, prepared.plan.project, run) as lease, work_folder() as work:
        current = _unmoved(prepared, again(prepared))
        stamp = {"run": run, "epoch": lease.epoch, "installed": now()}
        with Journal(prepared.site.state / "journal.sqlite") as journal:
            journal.begin(
                run,
                "install",
                project=current.plan.project,
                version=current.plan.version,
                bundle=current.plan.bundle,
                epoch=lease.epoch,
            )
            return _journalled(journal, run, lambda: _apply(current, stage(current, work, stamp), run, lease, journal, events))


def ready(prepared: Prepared) -> None:
    """Raise PreflightFailed if anything is in the way."""
    if prepared.problems:
        raise PreflightFailed(prepared.problems)


def _unmoved(shown: Prepared, current: Prepared) -> Prepared:
    ready(current)
    if current.plan != shown.plan:
        raise SiteMoved("the site changed since the plan was made", place=shown.site.name, hint="run the command again")
    return current


def _apply(
    current: Prepared, plan_file: Path, run: str, lease: Lease, journal: Journal, events: Callable[[Event], None]
) -> Outcome:
    def report(event: Event) -> None:
        journal.event(run, event)
        events(event)

    outcome = run_playbook("install", current.site, plan_file, report, run=run, watch=lease.check)
    if not outcome.ok:
        raise _failure(current, outcome)
    return outcome


def _journalled(journal: Journal, run: str, work: Callable[[], Outcome]) -> Outcome:
    try:
        outcome = work()
    except DeployctlError as error:
        journal.end(run, "failed", str(error))
        raise
    except BaseException as error:
        journal.end(run, "interrupted", type(error).__name__)
        raise
    journal.end(run, "done")
    return outcome


def _failure(current: Prepared, outcome: Outcome) -> DeployctlError:
    hint = f"{_way_out(current)}\nthe whole log: {outcome.log}"
    causes = [f"{one.host}: {one.task}: {one.message}" for one in _causes(outcome) if one.host not in outcome.unhealthy]
    if outcome.unhealthy:
        return NotHealthy("\n".join([*_unhealthy(outcome), *causes]), hint=hint)
    return StepFailed("\n".join(causes) or f"Ansible ended with {outcome.code}", hint=hint)


def _way_out(current: Prepared) -> str:
    plan = current.plan
    records = [about["record"] for about in current.facts.values() if about["record"]]
    before = sorted({str(record["release"]["version"]) for record in records} - {plan.version})
    if not before:
        return "mend the cause and run the same command again; what a first install had started is stopped"
    return f"to go back: deployctl install --client {plan.client} with the bundle of {plan.project} {', '.join(before)}"


def _causes(outcome: Outcome) -> list[Failure]:
    """The first failure of each host; what fails after it only tells so."""
    return list({failure.host: failure for failure in reversed(outcome.failures)}.values())[::-1]


def _unhealthy(outcome: Outcome) -> list[str]:
    lines = []
    for host, services in outcome.unhealthy.items():
        for service in services:
            state = service["health"] or f"{service['state']}, exit code {service['exit_code']}"
            lines.append(f"{host}: {service['service']} is not healthy: {state}")
            check = [f"its check said: {line}" for line in service["check"].splitlines()[:3]]
            lines += [f"    {line}" for line in [*check, *service["logs"][-20:]]]
    return lines
