"""deployctl rehearse: the client's site as containers, to try the real install."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError, did_you_mean
from deployctl import rehearsal
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of

app = typer.Typer()

NewKeys = Annotated[bool, typer.Option("--new-host-keys", help="The hosts come back with other SSH keys.")]
Names = Annotated[list[str] | None, typer.Argument(help="Only these machines.", metavar="[HOST]...")]


class NotUp(InputError):
    """The rehearsal, or the machine in it, is not there.

    `deployctl rehearse up --client …`; `deployctl rehearse status` lists the machines.
    """

    code = "rehearsal-not-up"


@app.command()
def up(
    client: Client,
    inventories: Inventories = INVENTORIES,
    medium: Annotated[Path | None, typer.Option(help="What the deploy node sees at /media/usb; ./dist if it is there.")] = None,
    release: Annotated[Path | None, typer.Option(help="A project's folder or a bundle; the router permits its flows.")] = None,
) -> None:
    """Bring the site up: each host a container with systemd, SSH and Docker, a router between the segments, no way out.

    Example: deployctl rehearse up --client acme --release .
    """
    began, site = time.monotonic(), site_of(client, inventories)
    flows = rehearsal.read_flows(site, release) if release else None
    rehearsal.up(site, flows, medium=medium or _dist(), say=show.say)
    show.say(f"{client} is up ({time.monotonic() - began:.1f} s)")
    if site.deploy_node:
        show.say(f"its deploy node: deployctl rehearse shell --client {client} {site.deploy_node.name}")


@app.command()
def down(
    client: Client,
    inventories: Inventories = INVENTORIES,
    images: Annotated[bool, typer.Option("--images", help="The rehearsal's images too.")] = False,
) -> None:
    """Remove the site: containers, volumes, networks, rules, keys. Nothing is left.

    Example: deployctl rehearse down --client acme
    """
    began = time.monotonic()
    was_there = rehearsal.down(client, inventories / client, say=show.say)
    show.say(f"{client} is down ({time.monotonic() - began:.1f} s)" if was_there else f"{client} was not up")
    if images:
        show.say(f"removed {len(rehearsal.remove_images())} images")


@app.command()
def reset(
    client: Client,
    names: Names = None,
    inventories: Inventories = INVENTORIES,
    new_host_keys: NewKeys = False,
    keep_deploy_node: Annotated[bool, typer.Option("--keep-deploy-node", help="Keep what is installed there.")] = False,
) -> None:
    """Give the site back as new, in seconds: the hosts lose everything, and keep their addresses and SSH keys.

    Example: deployctl rehearse reset --client acme
    """
    began, site = time.monotonic(), site_of(client, inventories)
    for name in names or ():
        _known(name, site.hosts)
    rehearsal.reset(site, names or None, deploy_node=not keep_deploy_node, new_host_keys=new_host_keys, say=show.say)
    show.say(f"{client} is as new ({time.monotonic() - began:.1f} s)")


@app.command()
def status(client: Client, as_json: Json = False) -> None:
    """Show the site's machines, and what its router has stopped.

    Example: deployctl rehearse status --client acme
    """
    machines = rehearsal.status(client)
    running = any(one.kind == "router" and one.state == "running" for one in machines)
    count = rehearsal.counts(client) if running else None
    if as_json:
        show.data({"machines": [asdict(one) for one in machines], "router": asdict(count) if count else None})
        return
    if not machines:
        show.say(f"{client} is not up")
        return
    show.out(show.table([(one.machine, one.kind, one.network, one.address, one.since) for one in machines], HEAD))
    if count:
        show.out(f"router: {count.dropped} packets refused, {count.leak} tried to leave the site")


HEAD = ("machine", "kind", "network", "address", "state")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def shell(
    client: Client,
    host: Annotated[str, typer.Argument(help="A machine of `deployctl rehearse status`.")],
    argv: Annotated[
        list[str] | None, typer.Argument(help="A command; a login shell without one.", metavar="[COMMAND]...")
    ] = None,
    root: Annotated[bool, typer.Option("--root", help="As root, not as the inventory's user.")] = False,
) -> None:
    """Run a command on a machine of the site, or open a shell there.

    Example: deployctl rehearse shell --client acme deploy ls /media/usb
    """
    machines = {one.machine: one for one in rehearsal.status(client)}
    if not machines:
        raise NotUp(f"{client} is not up", hint=f"deployctl rehearse up --client {client}")
    _known(host, machines)
    user = "root" if root or machines[host].kind not in ("host", "deploy") else machines[host].user
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    raise typer.Exit(rehearsal.interactive(client, host, argv or [], user=user, terminal=terminal))


def _known(name: str, machines: Iterable[str]) -> None:
    names = list(machines)
    if name not in names:
        raise NotUp(f'no machine "{name}"', hint=did_you_mean(name, names))


def _dist() -> Path | None:
    return Path("dist") if Path("dist").is_dir() else None
