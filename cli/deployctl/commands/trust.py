"""deployctl trust: whose bundles are installed, and which machines are the client's hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deploybundle.errors import InputError
from deploybundle.trust import PublicKey, Trust, Vendor, VendorKey, add_trusted, load_trust
from deploybundle.trust import revoke as revoke_key
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, fingerprint_of, site_of
from deployctl.hosts import HostKey, ask_all, pin, pinned, scan

app = typer.Typer()
Yes = Annotated[bool, typer.Option("--yes", help="The fingerprints were compared already.")]

Replace = Annotated[bool, typer.Option("--replace", help="Pin another key over one that is pinned.")]


HEAD = ("host", "address", "key", "fingerprint", "state")


class NotConfirmed(InputError):
    """Nobody said that the fingerprints are right.

    Compare the fingerprints, run it at a terminal and answer y, or give `--yes` once they were compared.
    """

    code = "not-confirmed"


@app.callback()
def _group() -> None:
    """Whom this machine trusts."""


@app.command("hosts")
def hosts(
    client: Client, inventories: Inventories = INVENTORIES, yes: Yes = False, replace: Replace = False, as_json: Json = False
) -> None:
    """Show the fingerprints of the hosts' SSH keys, and pin them once you say that they are right.

    Example: deployctl trust hosts --client acme
    """
    site = site_of(client, inventories)
    found = ask_all([host for host in site.hosts.values() if not host.local], scan)
    known = pinned(site.known_hosts)
    rows = [_row(name, key, known) for name, key in found.items()]
    if as_json:
        show.data([dict(zip(HEAD, row, strict=True)) for row in rows])
    else:
        show.out(show.table(rows, (*HEAD[:-1], "")))
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
    load_trust().check_new(public, str(key))
    if not yes and not show.confirm("Is this what the vendor told you, by another way than the bundle?"):
        raise NotConfirmed("nothing was trusted", hint="compare the fingerprint, then answer y, or give --yes")
    show.say(f"trusted: {add_trusted(public, key.name.removesuffix('.pub'))}")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="SHA256:…, whole, or the public key's file.")],
    reason: Annotated[str, typer.Option("--reason", help="Who said so, and why.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Never trust a key again, not even for going back to what it signed. There is no way to take this back.

    Example: deployctl trust revoke SHA256:… --reason "the vendor telephoned: stolen"
    """
    fingerprint = fingerprint_of(key, [each.fingerprint for each in load_trust().keys])
    if not yes and not show.confirm(f"Refuse all that {fingerprint} signed, also what is installed, for ever?"):
        raise NotConfirmed("nothing was revoked", hint="answer y, or give --yes")
    revoke_key(fingerprint, reason)
    show.say(f"revoked: {fingerprint}")


@app.command("show")
def keys(as_json: Json = False) -> None:
    """Show whose bundles are installed on this machine.

    Example: deployctl trust show
    """
    trust = load_trust()
    if as_json:
        show.data(_as_data(trust))
        return
    for vendor in trust.vendors:
        said = f"the vendor's key set, version {vendor.keys.version}" if vendor.keys.version else "trusted by hand"
        show.out(f"{vendor.name}: {said}{'' if _valid(vendor, trust) else '; all of its keys are revoked'}")
        for each in _valid(vendor, trust):
            show.out(f"  {each.key.fingerprint}  until {each.expires or 'further notice'}\n    {' '.join(each.key.words)}")
    for fingerprint, reason in sorted(trust.revoked.items()):
        day = trust.since.get(fingerprint)
        show.out(f"revoked: {fingerprint}  {f'{day}  ' if day else ''}{reason or 'no reason given'}")
    if not trust.vendors:
        show.say("nobody is trusted yet")
    if trust.floor:
        seen = f"{trust.floor:%Y-%m-%d %H:%M UTC}"
        show.say(f"the newest bundle used here was signed {seen}; for keys it is never an earlier day")


def _valid(vendor: Vendor, trust: Trust) -> list[VendorKey]:
    """What is revoked is listed as that alone, whichever set still holds it."""
    return [each for each in vendor.keys.keys if each.key.fingerprint not in trust.revoked]


def _as_data(trust: Trust) -> dict[str, Any]:
    return {
        "vendors": [
            {
                "name": vendor.name,
                "version": vendor.keys.version,
                "keys": [
                    {
                        "fingerprint": each.key.fingerprint,
                        "words": list(each.key.words),
                        "key": each.key.ssh_line,
                        "expires": each.expires and each.expires.isoformat(),
                    }
                    for each in _valid(vendor, trust)
                ],
            }
            for vendor in trust.vendors
        ],
        "revoked": dict(trust.revoked),
        "since": {fingerprint: day.isoformat() for fingerprint, day in trust.since.items()},
        "floor": trust.floor and trust.floor.isoformat(),
    }
