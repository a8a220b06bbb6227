"""A playbook as a run of the journal: each event is written down and told, and so is how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploybundle.errors import DeployctlError
from deployctl.apply.failures import failure
from deployctl.apply.journal import Journal
from deployctl.apply.lease import Lease
from deployctl.apply.log import RunLog
from deployctl.apply.run import Event, Outcome, run_playbook
from deployctl.site import Site


@dataclass(frozen=True)
class Playing:
    """What one run has at hand while it plays; `way_out` is told with what fails."""

    site: Site
    log: RunLog
    lease: Lease
    journal: Journal
    events: Callable[[Event], None]
    way_out: str

    def play(self, name: str, stage: Callable[[], Path]) -> Outcome:
        """Play the playbook by the plan that `stage` writes. Raises what `failure` makes of hosts that did not get through."""
        run = self.log.run
        try:
            outcome = run_playbook(name, self.site, stage(), self._report, log=self.log, watch=self.lease.check)
            if not outcome.ok:
                raise failure(outcome, self.way_out)
        except DeployctlError as error:
            self.journal.end(run, "failed", str(error))
            raise
        except BaseException as error:
            self.journal.end(run, "interrupted", type(error).__name__)
            raise
        self.journal.end(run, "done")
        return outcome

    def _report(self, event: Event) -> None:
        self.journal.event(self.log.run, event)
        self.events(event)
