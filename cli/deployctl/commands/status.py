"""deployctl status: what a site runs, as its hosts say."""

from __future__ import annotations

from typing import Annotated

import typer

from deploybundle.errors import InputError
from deployctl.apply import ask_facts
from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.proof import Facts, as_data, flows_of, health, show_flows, show_health, verdict
from deployctl.hosts import HostsFailed
from deployctl.site import Site

NAME = "status"


class NothingInstalled(InputError):
    """No host of the site has a record.

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
    code = Exit.DONE
    for name in [project] if project else _projects(site):
        facts = {host: about for host, about in _facts(site, name).items() if about["record"]}
        services, tried = health(facts), flows_of(site, name, facts) if flows else []
        if as_json:
            show.data({"project": name, **as_data(services, tried)})
        else:
            show_health(services)
            if flows:
                show_flows(tried)
        bare = [host for host, about in facts.items() if not about["network"]["loaded"]]
        for host in bare:
            show.say(f"{host}: isolation is off, the network table is not loaded: systemctl restart deployctl-network there")
        code = max(code, verdict(services, tried), Exit.FLOWS if bare else Exit.DONE)
    raise typer.Exit(code)


def _projects(site: Site) -> list[str]:
    found = sorted({name for facts in _facts(site, "").values() for name in facts["projects"]})
    if not found:
        raise NothingInstalled("nothing is installed there", place=site.name, hint="deployctl install --client … BUNDLE")
    return found


def _facts(site: Site, project: str) -> Facts:
    facts, problems = ask_facts(site, site.targets, project)
    if problems:
        raise problems[0] if len(problems) == 1 else HostsFailed(problems)
    return facts
