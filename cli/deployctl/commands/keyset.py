"""deployctl keyset: which keys a vendor signs with. It travels in every bundle, so that sites learn of a change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError, did_you_mean
from deploybundle.trust import KeyRevoked, KeySet, PublicKey, VendorKey, read_keyset
from deploybundle.whole import write_whole
from deployctl.commands import show
from deployctl.commands.options import Json, config, fingerprint_of

app = typer.Typer()
WhichKey = Annotated[str, typer.Argument(metavar="KEY", help="SHA256:…, whole, or the public key's file.")]
Expires = Annotated[str | None, typer.Option("--expires", help="Its last day, as 2028-12-31; default: none.")]


class NoKeySet(InputError):
    """The vendor has no key set on this machine.

    Make one with `deployctl keyset add KEY.pub`, or copy keyset.json from the machine that has it: two must not count apart.
    """

    code = "no-key-set"


class NoDay(InputError):
    """A key's last day is no day to come. Sites would refuse all that it signs.

    Write it as 2028-12-31, or leave `--expires` out.
    """

    code = "no-day"


class NotInKeySet(InputError):
    """The key set has no key of this fingerprint.

    See `deployctl keyset show`.
    """

    code = "not-in-key-set"


@app.callback()
def _group() -> None:
    """The keys that a vendor signs with."""


def keyset_path() -> Path:
    """Where a vendor's key set lies."""
    return config() / "keyset.json"


@app.command("show")
def shown(as_json: Json = False) -> None:
    """Show the key set that bundles carry from now on.

    Example: deployctl keyset show
    """
    keys = _read()
    if as_json:
        listed = [{"fingerprint": k.key.fingerprint, "expires": k.expires and k.expires.isoformat()} for k in keys.valid]
        show.data({"version": keys.version, "keys": listed, "revoked": dict(keys.revoked)})
        return
    show.out(f"version {keys.version}")
    for each in keys.valid:
        show.out(f"{each.key.fingerprint}  until {each.expires or 'further notice'}")
    for fingerprint, reason in sorted(keys.revoked.items()):
        show.out(f"{fingerprint}  revoked: {reason}")


@app.command("add")
def add(key: Annotated[Path, typer.Argument(help="The public key.")], expires: Expires = None) -> None:
    """Sign with this key too, from now on or later: sites that get the next bundle will trust it. Not a revoked one.

    Example: deployctl keyset add next.key.pub --expires 2028-12-31
    """
    before = _read() if keyset_path().exists() else KeySet(0, ())
    public = PublicKey.load(key)
    _not_revoked(before, public, key)
    others = tuple(each for each in before.keys if each.key != public)
    _write(replace(before, version=before.version + 1, keys=(*others, VendorKey(public, _day(expires)))))


@app.command("retire")
def retire(key: WhichKey) -> None:
    """Sign no more with a key. What it signed stays as it is; sites refuse new bundles by it.

    Example: deployctl keyset retire SHA256:…
    """
    before = _read()
    fingerprint = fingerprint_of(key, _names(before))
    _known(before, fingerprint)
    _write(replace(before, version=before.version + 1, keys=_without(before, fingerprint)))


@app.command("revoke")
def revoke(
    key: WhichKey,
    reason: Annotated[str, typer.Option("--reason", help="For the clients: lost, stolen, …")],
) -> None:
    """Say that nobody may trust a key any more, retired or not, nor what it signed before. There is no way back.

    Sites refuse to install, and to go back to, whatever it signed: give them a release signed by another key first.

    Example: deployctl keyset revoke SHA256:… --reason "the laptop was stolen"
    """
    before = _read()
    fingerprint = fingerprint_of(key, _names(before))
    if fingerprint not in _names(before):
        show.say(f"{fingerprint} is not in the key set (any more); it is revoked all the same")
    revoked = {**before.revoked, fingerprint: reason}
    _write(replace(before, version=before.version + 1, keys=_without(before, fingerprint), revoked=revoked))


def _read() -> KeySet:
    path = keyset_path()
    if not path.exists():
        raise NoKeySet("there is no key set", place=str(path), hint="deployctl keyset add ~/.config/deployctl/signing.key.pub")
    return read_keyset(path.read_bytes(), str(path))


def _names(keys: KeySet) -> list[str]:
    return [each.key.fingerprint for each in keys.keys]


def _known(keys: KeySet, fingerprint: str) -> None:
    if fingerprint not in _names(keys):
        hint = did_you_mean(fingerprint, _names(keys))
        raise NotInKeySet(f"has no key {fingerprint}", place=str(keyset_path()), hint=hint)


def _not_revoked(keys: KeySet, key: PublicKey, file: Path) -> None:
    if key.fingerprint in keys.revoked:
        what = f"{key.fingerprint} was revoked: {keys.revoked[key.fingerprint]}; sites refuse it for ever"
        hint = "make a new key: deployctl keygen --key next.key; deployctl keyset add next.key.pub"
        raise KeyRevoked(what, place=str(file), hint=hint)


def _without(keys: KeySet, fingerprint: str) -> tuple[VendorKey, ...]:
    left = tuple(each for each in keys.valid if each.key.fingerprint != fingerprint)
    if not left:
        hint = "make the next one first: deployctl keygen --key next.key; deployctl keyset add next.key.pub"
        raise NotInKeySet("no key would be left to sign with", place=str(keyset_path()), hint=hint)
    return left


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError as error:
        hint = "write it as 2028-12-31, or leave --expires out for a key without an end"
        raise NoDay(f"expected a day to come, got {text!r}", place="--expires", hint=hint) from error
    if day and day <= datetime.now(UTC).date():
        hint = "name a later day; to sign no more with the key: deployctl keyset retire"
        raise NoDay(f"expected a day to come, got {day}", place="--expires", hint=hint)
    return day


def _write(keys: KeySet) -> None:
    path = keyset_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, read_keyset(keys.dumps(), str(path)).dumps())
    show.say(f"wrote {path}, version {keys.version}: every bundle from now on carries it")
