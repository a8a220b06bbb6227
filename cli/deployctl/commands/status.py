"""deployctl status: what a site runs, as its hosts say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from deploybundle.errors import FlowError, InputError, did_you_mean
from deployctl.apply import Journal, Run, ask_facts
from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.proof import Facts, as_data, flows_of, health, show_flows, show_health, verdict
from deployctl.hosts import HostsFailed
from deployctl.hosts.errors import clock
from deployctl.site import Site
from deployctl.verify import engine_lost_rules

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

    Example: deployctl status --client acme --flows
    """
    site = site_of(client, inventories)
    code, shown = Exit.DONE, []
    for name in projects(site, project):
        asked = _facts(site, name)
        facts = {host: about for host, about in asked.items() if about["record"]}
        services, tried = health(facts), flows_of(site, name, facts) if flows else []
        shown.append({"project": name, **as_data(services, tried)})
        if not as_json:
            show_health(services)
            if flows:
                show_flows(tried, facts)
        for line in unfinished(site, name, asked):
            show.say(line)
        bare = _isolation(facts)
        code = max(code, verdict(services, tried), Exit.FLOWS if bare else Exit.DONE)
    if as_json:
        show.data(_merged(shown))
    raise typer.Exit(code)


def unfinished(site: Site, project: str, facts: Facts) -> Iterator[str]:
    """What tells that a run is going on, or did not end: a lock, other versions than on other hosts, the journal."""
    for host, about in facts.items():
        lock = about["lock"]
        if lock["run"]:
            word = "is changing it" if lock["held"] else "was changing it and did not end: run the same command again"
            yield f"{host}: {lock['holder']} {word} (since {clock(lock['since'])})"
    versions = {host: about["record"]["release"]["version"] for host, about in facts.items() if about["record"]}
    if len(set(versions.values())) > 1:
        yield f"{project}: half an upgrade: {', '.join(f'{host} {one}' for host, one in versions.items())}; run install again"
    last = _last_run(site, project)
    if last is not None and last.outcome != "done":
        how = last.outcome or "did not end"
        yield f"{project}: the last {last.command} ({last.version}, {last.started[:19]} UTC) {how}; run it again to go on"
        yield f"  its log: {site.state / 'log' / last.id}.log"


def _last_run(site: Site, project: str) -> Run | None:
    path = site.state / "journal.sqlite"
    if not path.exists():
        return None
    with Journal(path) as journal:
        return next((run for run in journal.runs() if run.project == project), None)


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
    for key in ("services", "flows"):
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
