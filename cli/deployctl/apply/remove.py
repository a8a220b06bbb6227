"""The removal: what a product has on a site's hosts goes, volumes stay. Needs no bundle and no secrets: the hosts know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from deploybundle.errors import DeployctlError, InputError, did_you_mean
from deployctl.apply.install import SiteMoved
from deployctl.apply.journal import Journal
from deployctl.apply.lease import hold
from deployctl.apply.log import RunLog
from deployctl.apply.playing import Playing
from deployctl.apply.prepare import ask_facts
from deployctl.apply.run import Event, Outcome
from deployctl.apply.stage import stage_removal
from deployctl.apply.work import work_folder
from deployctl.plan import Plan, leaving, volumes_of
from deployctl.site import Host, Site

AGAIN = "mend the cause and run the same command again: what is done is not done again"


class VolumeUnknown(InputError):
    """`--volumes` names a volume that the product does not have on any host.

    Nothing was removed. `deployctl remove` without it shows the names of all its volumes.
    """

    code = "volume-unknown"


@dataclass(frozen=True)
class Removal:
    """What would go. `silent` are the hosts that could not be asked: what they have stays until the next run.

    `data` are the hosts on which nothing but volumes is left, with their names.
    """

    site: Site
    plan: Plan
    delete: frozenset[str]
    silent: tuple[DeployctlError, ...]
    data: Mapping[str, Sequence[str]]

    @property
    def hosts(self) -> list[Host]:
        """The hosts that have something of the product."""
        return [self.site.hosts[name] for name in self.plan.hosts]


def prepare_removal(site: Site, project: str, delete: Collection[str]) -> Removal:
    """Ask the hosts and plan. Nothing changes. Raises VolumeUnknown."""
    facts, errors = ask_facts(site, site.targets, project, images=True)
    hosts = leaving(project, facts, delete)
    there = {name: volumes_of(project, about) for name, about in facts.items()}
    known = {volume for volumes in there.values() for volume in volumes}
    unknown = sorted(set(delete) - known)
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise VolumeUnknown(f'no volume "{unknown[0]}" of {project} at {site.name}', place="--volumes", hint=hint)
    versions = tuple(sorted({host.leave.version for host in hosts.values() if host.leave and host.leave.version}))
    data = {name: volumes for name, volumes in there.items() if volumes and name not in hosts}
    return Removal(site, Plan(site.name, project, "", "", 0, hosts, versions), frozenset(delete), tuple(errors), data)


def remove(shown: Removal, events: Callable[[Event], None], log: RunLog) -> Outcome:
    """Do what was shown. Stop it anywhere and run it again.

    Raises LockedError or SiteError when it did not end well; other hosts than those it names are done.
    """
    site, project = shown.site, shown.plan.project
    run = log.run
    with hold(site, shown.hosts, project, run) as lease, work_folder() as work:
        facts, _ = ask_facts(site, shown.hosts, project, images=True)
        if leaving(project, facts, shown.delete) != shown.plan.hosts:
            raise SiteMoved("the site changed since the plan was made", place=site.name, hint="run the command again")
        with Journal(site.state / "journal.sqlite") as journal:
            version = ", ".join(shown.plan.installed)
            journal.begin(run, "remove", project=project, version=version, bundle="", epoch=lease.epoch)
            playing = Playing(site, log, lease, journal, events, AGAIN)
            return playing.play("remove", lambda: stage_removal(shown.plan, work, run))
