"""deployctl trust: whose bundles are installed, and which machines are the client's hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deploybundle.trust import PublicKey, add_trusted, load_trusted
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.hosts import HostKey, ask_all, pin, pinned, scan

app = typer.Typer()
Yes = Annotated[bool, typer.Option("--yes", help="The fingerprints were compared already.")]

Replace = Annotated[bool, typer.Option("--replace", help="Pin another key over one that is pinned.")]


class NotConfirmed(InputError):
    """Nobody said that the fingerprints are right.

    Compare the fingerprints, run it at a terminal and answer y, or give `--yes` once they were compared.
    """

    code = "not-confirmed"


@app.callback()
def _group() -> None:
    """Whom this machine trusts."""


@app.command("hosts")
def hosts(client: Client, inventories: Inventories = INVENTORIES, yes: Yes = False, replace: Replace = False) -> None:
    """Show the fingerprints of the hosts' SSH keys, and pin them once you say that they are right.

    Example: deployctl trust hosts --client acme
    """
    site = site_of(client, inventories)
    found = ask_all([host for host in site.hosts.values() if not host.local], scan)
    known = pinned(site.known_hosts)
    show.out(show.table([_row(name, key, known) for name, key in found.items()], ("host", "address", "key", "fingerprint", "")))
    new = [key for key in found.values() if known.get(key.name) != key]
    if not new:
        show.say("all are pinned already")
        return
    if not yes and not show.confirm("Compare them with what the client's administrator says. Pin them?"):
        raise NotConfirmed("nothing was pinned", hint="compare the fingerprints, then answer y, or give --yes")
    pin(site.known_hosts, new, replace=replace)
    show.say(f"pinned {len(new)} in {site.known_hosts}")


def _row(name: str, key: HostKey, known: dict[str, HostKey]) -> tuple[str, ...]:
    before = known.get(key.name)
    word = "new" if before is None else "pinned" if before == key else f"CHANGED, pinned is {before.fingerprint}"
    return name, key.name, key.kind, key.fingerprint, word


@app.command("add")
def add(key: Annotated[Path, typer.Argument(help="The vendor's public key.")], yes: Yes = False) -> None:
    """Trust a vendor's key, once you compared its fingerprint with what the vendor told you by another way.

    Example: deployctl trust add vendor.pub
    """
    public = PublicKey.load(key)
    show.out(f"{public.fingerprint}\n{' '.join(public.words)}")
    if not yes and not show.confirm("Is this what the vendor told you, by another way than the bundle?"):
        raise NotConfirmed("nothing was trusted", hint="compare the fingerprint, then answer y, or give --yes")
    show.say(f"trusted: {add_trusted(public, key.name.removesuffix('.pub'))}")


@app.command("show")
def keys(as_json: Json = False) -> None:
    """Show whose bundles are installed on this machine.

    Example: deployctl trust show
    """
    found = load_trusted()
    if as_json:
        show.data([{"fingerprint": key.fingerprint, "words": list(key.words), "key": key.ssh_line} for key in found])
        return
    show.out("\n".join(f"{key.fingerprint}  {' '.join(key.words)}" for key in found) or "nobody is trusted yet")
