"""Apply: from a bundle to a plan, the journal, the lock on the hosts, and the run of Ansible."""

from deployctl.apply.archive import write_archive
from deployctl.apply.failures import NotHealthy, StepFailed
from deployctl.apply.install import SiteMoved, install, ready
from deployctl.apply.journal import Journal, Run
from deployctl.apply.lease import Lease, hold
from deployctl.apply.log import RunLog, log_of
from deployctl.apply.prepare import Prepared, ask_facts, prepare, read_at_site, read_bundle
from deployctl.apply.remove import Removal, VolumeUnknown, prepare_removal, remove
from deployctl.apply.run import Event, Failure, Outcome, run_playbook
from deployctl.apply.stage import stage
from deployctl.apply.work import work_folder

__all__ = [
    "Event", "Failure", "Journal", "Lease", "NotHealthy", "Outcome", "Prepared", "Removal", "Run", "RunLog", "SiteMoved",
    "StepFailed", "VolumeUnknown", "ask_facts", "hold", "install", "log_of", "prepare", "prepare_removal", "read_at_site",
    "read_bundle", "ready", "remove", "run_playbook", "stage", "work_folder", "write_archive",
]  # fmt: skip
