"""deployctl preflight: is the site ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from deploybundle.release import Release
from deployctl.apply import ready
from deployctl.commands import show
from deployctl.commands.flows import Csv, write
from deployctl.commands.options import INVENTORIES, Bundle, Client, Inventories, Json, PasswordFile
from deployctl.commands.plan import prepared_of, warn
from deployctl.commands.verify import Key
from deployctl.desired.flows import SiteFlows, site_flows
from deployctl.desired.placement import placement
from deployctl.desired.requests import requests
from deployctl.verify import Tried, blocked, try_ahead

NAME = "preflight"


def command(
    client: Client, bundle: Bundle = None, inventories: Inventories = INVENTORIES, key: Key = None,
    vault_password_file: PasswordFile = None, as_json: Json = False,
    flows: Annotated[bool, typer.Option("--flows", help="Try whether the site's firewalls let every flow through.")] = False,
    csv: Csv = None,
) -> None:  # fmt: skip
    """Check all that an install needs of the hosts, in one list, each with its remedy. Changes nothing.

    With --flows the hosts listen for some seconds on the ports of the services, where nothing listens yet, and each calling
    host connects; --csv writes what is blocked, for the client's network team.

    Example: deployctl preflight --client acme --flows --csv blocked.csv collector-1.0.0.bundle.tar
    """
    prepared = prepared_of(client, bundle, inventories, key, vault_password_file)
    warn(prepared.warnings)
    ready(prepared)
    release, site = prepared.release, prepared.site
    found = site_flows(release, site, placement(release, site))
    tried = try_ahead(site, release.name, found) if flows else []
    if as_json:
        show.data({"ready": True, "hosts": [host.name for host in prepared.hosts], "bytes": prepared.plan.size, **_data(tried)})
    else:
        show.out(f"ready: {len(prepared.hosts)} hosts, {show.size(prepared.plan.size)} of images to send")
        if flows:
            _told(tried, found, release)
    if csv is not None:
        bad = {(one.host, one.address, one.protocol, one.port) for one in tried if not one.good}
        rows = requests(found, site, within=True)
        write(csv, [row for row in rows if (row.source, row.destination_address, row.protocol, row.port) in bad])
    problem = blocked(tried)
    if problem:
        raise problem


def _told(tried: Sequence[Tried], found: SiteFlows, release: Release) -> None:
    show.out(f"flows between hosts and out: {sum(one.good for one in tried)} of {len(tried)} get through")
    inward = {(flow.host, flow.host_port) for flow in found.arriving if flow.origin not in release.services}
    if inward:
        show.out(f"  not tried, since it takes a machine outside: {len(inward)} from networks outside")


def _data(tried: Sequence[Tried]) -> dict[str, Any]:
    return {"flows": [{**asdict(one), "good": one.good} for one in tried]} if tried else {}
