"""Apply: the journal, the lock on the hosts, and the run of Ansible."""

from deployctl.apply.archive import write_archive
from deployctl.apply.journal import Journal, Run
from deployctl.apply.lease import Lease, hold
from deployctl.apply.run import Event, Failure, Outcome, run_playbook

__all__ = ["Event", "Failure", "Journal", "Lease", "Outcome", "Run", "hold", "run_playbook", "write_archive"]
