"""The install: lock, look again, apply, record. Stop it anywhere and run it again; it ends in the same state."""

from __future__ import annotations

from collections.abc import Callable

from deploybundle.errors import LockedError
from deployctl.apply.journal import Journal, now
from deployctl.apply.lease import hold
from deployctl.apply.log import RunLog
from deployctl.apply.playing import Playing
from deployctl.apply.prepare import Prepared, again
from deployctl.apply.run import Event, Outcome
from deployctl.apply.stage import stage
from deployctl.apply.vendor import signer
from deployctl.apply.work import work_folder
from deployctl.verify import PreflightFailed


class SiteMoved(LockedError):
    """Between the plan that was shown and the lock, somebody changed the site.

    Somebody else changed the site in between. Run the command again: it plans anew from what is there now.
    """

    code = "site-moved"


def install(prepared: Prepared, events: Callable[[Event], None], log: RunLog) -> Outcome:
    """Bring the hosts to what they shall have; nothing is done, and nobody asked, when they have it.

    Raises PreflightFailed before anything changes; LockedError, SiteError or UnhealthyError when it did not end well.
    """
    ready(prepared)
    run = log.run
    if not prepared.plan.changed:
        _settle(prepared, run)
        return Outcome()
    with hold(prepared.site, prepared.hosts, prepared.plan.project, run) as lease, work_folder() as work:
        current = _unmoved(prepared, again(prepared))
        stamp = {"run": run, "epoch": lease.epoch, "installed": now(), "signer": signer(current.bundle)}
        with Journal(prepared.site.state / "journal.sqlite") as journal:
            journal.begin(
                run,
                "install",
                project=current.plan.project,
                version=current.plan.version,
                bundle=current.plan.bundle,
                epoch=lease.epoch,
            )
            playing = Playing(current.site, log, lease, journal, events, _way_out(current))
            return playing.play("install", lambda: stage(current, work, stamp))


def ready(prepared: Prepared) -> None:
    """Raise PreflightFailed if anything is in the way."""
    if prepared.problems:
        raise PreflightFailed(prepared.problems)


def _settle(prepared: Prepared, run: str) -> None:
    """What did not end has nothing left to do; unless somebody is still at it, the journal says so from now on."""
    if not any(about["lock"]["held"] for about in prepared.facts.values()):
        with Journal(prepared.site.state / "journal.sqlite") as journal:
            journal.settle(run, "install", prepared.plan.project, prepared.plan.version)


def _unmoved(shown: Prepared, current: Prepared) -> Prepared:
    ready(current)
    if current.plan != shown.plan:
        raise SiteMoved("the site changed since the plan was made", place=shown.site.name, hint="run the command again")
    return current


def _way_out(current: Prepared) -> str:
    plan = current.plan
    records = [about["record"] for about in current.facts.values() if about["record"]]
    before = sorted({str(record["release"]["version"]) for record in records} - {plan.version})
    if not before:
        return "mend the cause and run the same command again; what a first install had started is stopped"
    return f"to go back: deployctl install --client {plan.client} with the bundle of {plan.project} {', '.join(before)}"
