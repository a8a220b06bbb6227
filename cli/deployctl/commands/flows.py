"""deployctl flows: what the client's firewalls must permit, as a table to mail before anybody travels."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deploybundle.release import Release
from deploybundle.store import Store
from deploybundle.whole import write_whole
from deployctl import rehearsal
from deployctl.apply import read_at_site
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.verify import Key, verified
from deployctl.desired import Around, own_answers
from deployctl.desired.flows import site_flows
from deployctl.desired.placement import placement
from deployctl.desired.requests import Request, as_csv, requests
from deployctl.site import Site

NAME = "flows"
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the table here, for a spreadsheet or a mail.", dir_okay=False)]


class CsvNotWritten(InputError):
    """The table of flows could not be written to the file that --csv names.

    Name another place, one that exists and that you may write to.
    """

    code = "csv-not-written"


def command(
    client: Client,
    release: Annotated[
        Path | None, typer.Argument(help="A bundle or a project's folder; default: the bundle used last.", metavar="[RELEASE]")
    ] = None,
    inventories: Inventories = INVENTORIES, key: Key = None, as_json: Json = False, csv: Csv = None,
) -> None:  # fmt: skip
    """List every connection that the client's firewalls between segments must permit. Asks no host.

    Example: deployctl flows --client acme collector-1.0.0.bundle.tar --csv acme-flows.csv
    """
    site = site_of(client, inventories)
    read = release_of(site, release, key)
    site = own_answers(read, frozenset(read.settings), site.of(read.name), Around(answers=None))
    rows = requests(site_flows(read, site, placement(read, site)), site)
    if csv is not None:
        write(csv, rows)
    if as_json:
        show.data([asdict(row) for row in rows])
    elif csv is None:
        show.out(told(rows))


def release_of(site: Site, given: Path | None, key: Path | None) -> Release:
    """A project's folder as it lies there; a bundle after its signature held, since its own Compose reads it."""
    if given is not None and given.is_dir():
        return rehearsal.read_project(site, given)
    bundle = verified(given or Store(site.state).newest(), key)
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        return read_at_site(bundle, site, Path(folder).resolve() / bundle.name)


def told(rows: Sequence[Request]) -> str:
    """The table for a person."""
    head = ("direction", "from", "address", "to", "address", "port", "purpose")
    return show.table(
        [
            (r.direction, r.source, r.source_address, r.destination, r.destination_address, f"{r.port}/{r.protocol}", r.purpose)
            for r in rows
        ],
        head,
    )


def write(path: Path, rows: Sequence[Request]) -> None:
    """Write the CSV, whole or not at all."""
    try:
        write_whole(path, as_csv(rows).encode())
    except OSError as problem:
        raise CsvNotWritten(f"could not be written: {problem.strerror}", place=str(path)) from problem
    show.say(f"{path}: {len(rows)} connections")
