"""deployctl files: what we own on a site's hosts, why, from which release, and whether it is as written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from deploybundle.errors import DeployctlError, InputError, did_you_mean
from deployctl.apply import ask_facts
from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.status import projects
from deployctl.plan import Owned, owned
from deployctl.site import Host, Site

NAME = "files"


class NoSuchHost(InputError):
    """`--host` names no host of the client's inventory.

    The hosts are in hosts.yml; services run on none of the group `management`.
    """

    code = "no-such-host"


def command(
    client: Client, inventories: Inventories = INVENTORIES, as_json: Json = False,
    path: Annotated[str | None, typer.Argument(help="Only this file, or what lies in this folder.", metavar="[PATH]")] = None,
    host: Annotated[str | None, typer.Option(help="Only this host.")] = None,
    project: Annotated[str | None, typer.Option(help="Only this product.")] = None,
) -> None:  # fmt: skip
    """List everything of ours on the hosts: files, and what Docker and the kernel hold; why, and whether it is as written.

    Example: deployctl files --client acme --host web1 /etc/deployctl
    """
    site = site_of(client, inventories)
    chosen = _hosts(site, host)
    found: list[Owned] = []
    silent: list[DeployctlError] = []
    for name in projects(site, project):
        facts, errors = ask_facts(site, chosen, name, images=True)
        silent += [error for error in errors if str(error) not in map(str, silent)]
        for at, about in facts.items():
            if name in about["projects"]:
                found += [one for one in owned(at, name, about) if path is None or _is_at(one.name, path)]
    if as_json:
        show.data({"files": [asdict(one) for one in found], "unasked": [str(error) for error in silent]})
    else:
        show.out(show.table([(one.host, one.kind, one.name, one.release, one.state, one.why) for one in found], HEAD))
        for error in silent:
            show.say(f"not asked: {error}")
    raise typer.Exit(Exit.SITE if silent else Exit.DONE)


HEAD = ("host", "kind", "name", "release", "state", "why")


def _hosts(site: Site, name: str | None) -> list[Host]:
    if name is None:
        return site.targets
    hosts = {host.name: host for host in site.targets}
    if name not in hosts:
        raise NoSuchHost(f'no host "{name}"', place=site.name, hint=did_you_mean(name, hosts))
    return [hosts[name]]


def _is_at(name: str, path: str) -> bool:
    return name == path or name.startswith(path.rstrip("/") + "/")
