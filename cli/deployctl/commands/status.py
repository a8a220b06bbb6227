"""deployctl status: what a site runs, as its hosts say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from deploybundle.errors import FlowError, InputError, did_you_mean
from deployctl.apply import Journal, Run, ask_facts, log_of
from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.proof import Facts, as_data, flows_of, health, show_flows, show_health, unrecorded, verdict
from deployctl.hosts import HostsFailed
from deployctl.hosts.errors import clock
from deployctl.site import Site
from deployctl.verify import ServiceHealth, engine_lost_rules

NAME = "status"


class IsolationOff(FlowError):
    """The table that holds the flows is not loaded on a host, or its rule in DOCKER-USER is gone.

    `systemctl restart deployctl-network` on the host, or `deployctl install`. It goes when somebody flushes the ruleset by
    hand (`nft flush ruleset`, `iptables -F`); a restart of nftables.service brings it back by itself.
    """

    code = "isolation-off"


class NothingInstalled(InputError):
    """No host of the site has a record, or none of that product.

    `deployctl install --client … BUNDLE`. If something should be there, check that hosts.yml names the right machines.
    """

    code = "nothing-installed"


def command(
    client: Client, inventories: Inventories = INVENTORIES, as_json: Json = False,
    flows: Annotated[bool, typer.Option("--flows", help="Try every flow, and every connection that is none.")] = False,
    project: Annotated[str | None, typer.Option(help="The product, where the site has several.")] = None,
) -> None:  # fmt: skip
    """Show what runs, whether it is healthy, and with --flows whether it is isolated as promised.

    What an install started that did not end is shown, too, as not recorded; then the exit code is not 0.

    Example: deployctl status --client acme --flows
    """
    site = site_of(client, inventories)
    code, shown = Exit.DONE, []
    for name in projects(site, project):
        asked = _facts(site, name)
        facts = {host: about for host, about in asked.items() if about["record"] or about["containers"]}
        services, tried = [*health(facts), *unrecorded(facts)], flows_of(site, name, facts) if flows else []
        run = _unfinished_run(site, name)
        shown.append({"project": name, **as_data(services, tried), "unfinished": [_run_data(site, run)] if run else []})
        if not as_json:
            _show(name, services)
            if flows:
                show_flows(tried, facts)
        lines = [*unfinished(name, asked), *_ended(site, run), *_unexplained(name, services, run)]
        for line in lines:
            show.say(line)
        bare = _isolation(facts)
        code = max(code, verdict(services, tried), Exit.FLOWS if bare else Exit.DONE, _progress(asked) if lines else Exit.DONE)
    if as_json:
        show.data(_merged(shown))
    raise typer.Exit(code)


def _show(project: str, services: Sequence[ServiceHealth]) -> None:
    if services:
        show_health(services)
    else:
        show.out(f"{project}: no container and no record of it on any host, only files")


def unfinished(project: str, facts: Facts) -> Iterator[str]:
    """What tells on the hosts that a run is going on, or did not end: a lock, other versions than on other hosts."""
    for host, about in facts.items():
        lock = about["lock"]
        if lock["run"]:
            word = "is changing it" if lock["held"] else "was changing it and did not end: run the same command again"
            yield f"{host}: {lock['holder']} {word} (since {clock(lock['since'])})"
    versions = {host: about["record"]["release"]["version"] for host, about in facts.items() if about["record"]}
    if len(set(versions.values())) > 1:
        yield f"{project}: half an upgrade: {', '.join(f'{host} {one}' for host, one in versions.items())}; run install again"


def _ended(site: Site, run: Run | None) -> Iterator[str]:
    """How the last run ended, as the journal has it."""
    if run is not None:
        how = run.outcome or "did not end"
        yield f"{run.project}: the last {run.command} ({run.version}, {run.started[:19]} UTC) {how}; run it again to go on"
        yield f"  its log: {log_of(site, run.id).path}"


def _unexplained(project: str, services: Sequence[ServiceHealth], run: Run | None) -> Iterator[str]:
    """What runs unrecorded though this journal knows of no run that did not end: it was another machine's, or by hand."""
    hosts = sorted({one.host for one in services if not one.recorded})
    if hosts and run is None:
        yield f"{project}: {', '.join(hosts)}: what is not recorded was started by no install that ended; run install again"


def _progress(facts: Facts) -> Exit:
    """Something is not finished: somebody is at it, or it is for the site to be brought to an end."""
    return Exit.LOCKED if any(about["lock"]["held"] for about in facts.values()) else Exit.SITE


def _unfinished_run(site: Site, project: str) -> Run | None:
    """The last run, unless it ended well."""
    path = site.state / "journal.sqlite"
    if not path.exists():
        return None
    with Journal(path) as journal:
        return journal.unfinished(project)


def _run_data(site: Site, run: Run) -> dict[str, str]:
    """The same for a script. `outcome` is failed, interrupted, or empty where nobody noted an end."""
    said = {key: getattr(run, key) for key in ("project", "command", "version", "started", "ended", "outcome", "message")}
    return {**said, "log": str(log_of(site, run.id).path)}


def _isolation(facts: Facts) -> list[str]:
    """The hosts on which it is off, said aloud; and those whose engine has lost its own rules, which hurts nobody yet."""
    bare = [host for host, about in facts.items() if not about["network"]["loaded"]]
    for host in bare:
        message = "isolation is off: the network table or its rule in DOCKER-USER is not loaded"
        hint = "systemctl restart deployctl-network there, or `deployctl install`, which does it"
        show.error(IsolationOff(message, place=host, hint=hint))
    for host, about in facts.items():
        if engine_lost_rules(about):
            show.say(
                f"{host}: Docker's own iptables rules are gone; what runs goes on, new networks fail: systemctl restart docker"
            )
    return bare


def _merged(shown: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer, however many products: each service and flow says whose it is."""
    whole: dict[str, Any] = {"projects": [one["project"] for one in shown]}
    for key in ("services", "flows", "unfinished"):
        whole[key] = [{"project": one["project"], **each} for one in shown for each in one[key]]
    return whole


def projects(site: Site, wanted: str | None) -> list[str]:
    """The products that are installed, or the one that is wanted. Raises NothingInstalled."""
    found = sorted({name for facts in _facts(site, "").values() for name in facts["projects"]})
    if not found:
        raise NothingInstalled("nothing is installed there", place=site.name, hint="deployctl install --client … BUNDLE")
    if wanted is not None and wanted not in found:
        hint = did_you_mean(wanted, found)
        raise NothingInstalled(f'no product "{wanted}" is installed there', place=site.name, hint=hint)
    return [wanted] if wanted else found


def _facts(site: Site, project: str) -> Facts:
    facts, problems = ask_facts(site, site.targets, project)
    if problems:
        raise problems[0] if len(problems) == 1 else HostsFailed(problems)
    return facts
