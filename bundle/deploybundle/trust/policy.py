"""Whom this machine trusts: the key sets of vendors, what is revoked, and the time that it is at least.

A folder: NAME.pub is a key that a person trusts, NAME.keys.json the vendor's key set that came later in a bundle,
`state.json` what is revoked here, what vendors retired, and the floor of time. Files, so that an administrator can read and
place them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from deploybundle.trust.keys import PublicKey
from deploybundle.trust.keyset import KeySet, VendorKey, read_keyset
from deploybundle.trust.problems import KeyExpired, KeyRetired, KeyRevoked, KeySetInvalid, UnknownSigner
from deploybundle.trust.signatures import Statement
from deploybundle.whole import write_whole

SCHEMA = 1
FIRST = 0
"""The version of a set that no vendor has said yet: the one key that a person trusts."""


@dataclass(frozen=True)
class Vendor:
    """A vendor by the name that this site calls him, and his keys as last heard."""

    name: str
    keys: KeySet


@dataclass(frozen=True)
class Trust:
    """What this machine trusts. `revoked` (fingerprint → reason) and `floor` never shrink.

    `since`: the day on which this machine learned of a revocation. `retired`: a key that a vendor's later set left out → his
    name here.
    """

    vendors: tuple[Vendor, ...] = ()
    revoked: Mapping[str, str] = field(default_factory=dict)
    floor: datetime | None = None
    since: Mapping[str, date] = field(default_factory=dict)
    retired: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Every key that was ever trusted and is not revoked, also one that has expired."""
        found = {each.key: None for vendor in self.vendors for each in vendor.keys.keys}
        return tuple(key for key in found if key.fingerprint not in self.revoked)

    def find(self, key: PublicKey) -> VendorKey | None:
        """What is known of a key: of several sets the one that lasts longest."""
        found = [each for vendor in self.vendors if (each := vendor.keys.find(key.fingerprint))]
        return max(found, key=lambda each: each.expires or date.max, default=None)

    def name_of(self, fingerprint: str) -> str:
        """The vendor of a key, by his name here; empty if none has it."""
        return next((vendor.name for vendor in self.vendors if vendor.keys.find(fingerprint)), "")

    def today(self, now: datetime) -> date:
        """The day that it is at least: a clock that was set back does not make a key valid again."""
        return max(now, self.floor or now).astimezone(UTC).date()

    def judge(self, signer: PublicKey, now: datetime, *, admitted: bool, place: str = "") -> None:
        """Whether a bundle with good signatures by this key may be used.

        KeyRevoked, KeyRetired, UnknownSigner or KeyExpired if not.

        `admitted`: it was used here before. Then only a revocation stands in the way, never a date.
        """
        if signer.fingerprint in self.revoked:
            raise KeyRevoked(f"signed by {signer.fingerprint}, which is {self._revoked(signer)}", place=place, hint=_NEWER)
        if admitted:
            return
        known = self.find(signer)
        if vendor := self._retired_by(signer):
            raise KeyRetired(f"signed by {signer.fingerprint}, a key {_retired(vendor)}", place=place, hint=_NEWER)
        if known is None:
            hint = "compare the fingerprint with the vendor by another way; if it is his: deployctl trust add VENDOR.pub"
            trusted = ", ".join(key.fingerprint for key in self.keys) or "none"
            what = f"signed by {signer.fingerprint}, which is not trusted here; trusted: {trusted}"
            raise UnknownSigner(what, place=place, hint=hint)
        if known.expires and self.today(now) > known.expires:
            raise KeyExpired(self._expired(known, now), place=place, hint=_NEWER)

    def check_new(self, key: PublicKey, place: str = "") -> None:
        """Whether a person may still say that this key is trusted. KeyRevoked or KeyRetired if not."""
        if key.fingerprint in self.revoked:
            raise KeyRevoked(f"{key.fingerprint} is {self._revoked(key)}", place=place, hint=_CURRENT)
        if vendor := self._retired_by(key):
            raise KeyRetired(f"{key.fingerprint} is a key {_retired(vendor)}", place=place, hint=_CURRENT)

    def _revoked(self, key: PublicKey) -> str:
        day = self.since.get(key.fingerprint)
        reason = self.revoked[key.fingerprint] or "no reason given"
        return f"revoked{f' since {day}' if day else ''}: {reason}"

    def _retired_by(self, key: PublicKey) -> Vendor | None:
        """The vendor whose set left the key out. None if a set has it, or if all keys of that set are revoked.

        For whoever stole one key can retire the others: once his are revoked here, theirs can be trusted again.
        """
        if self.find(key):
            return None
        left = {each.fingerprint for each in self.keys}
        name = self.retired.get(key.fingerprint)
        sets = (vendor for vendor in self.vendors if vendor.name == name)
        return next((one for one in sets if any(each.key.fingerprint in left for each in one.keys.keys)), None)

    def _expired(self, known: VendorKey, now: datetime) -> str:
        signed = f"; the newest bundle seen was signed {_text(self.floor)}" if self.floor else ""
        return (
            f"signed by {known.key.fingerprint}, which was valid until {known.expires}"
            f" (this machine's clock says {_text(now)}{signed})"
        )

    def learned(self, said: Statement, signer: PublicKey, keys: KeySet | None, place: str = "") -> Trust:
        """The trust after a bundle was admitted: later keys of its vendor, and a higher floor.

        A set that is older than the one known changes nothing. KeySetInvalid if it has the version of the one known and
        says something else: two vendors' machines counted apart, or somebody forged one.
        """
        floor = max(_time(said.time), self.floor or _time(said.time))
        if keys is None:
            return replace(self, floor=floor)
        vendors = tuple(_heard(vendor, keys, signer, floor.date(), place) for vendor in self.vendors)
        if not any(each.keys is keys for each in vendors):
            return replace(self, vendors=vendors, floor=floor)
        since = {**self.since, **{name: _time(said.time).date() for name in keys.revoked if name not in self.revoked}}
        retired = {**self.retired, **_left_out(self.vendors, vendors)}
        return Trust(vendors, {**keys.revoked, **self.revoked}, floor, since, retired)


_CURRENT = "ask the vendor for the public key that he signs with now"
_NEWER = "ask the vendor for a bundle signed by his current key"


def _heard(vendor: Vendor, keys: KeySet, signer: PublicKey, day: date, place: str) -> Vendor:
    if vendor.keys.find(signer.fingerprint) is None or keys.version < vendor.keys.version:
        return vendor
    if keys.version == vendor.keys.version and keys != vendor.keys:
        what = f"its key set has version {keys.version}, as the one that is known of {vendor.name}, and says something else"
        raise KeySetInvalid(what, place=place, hint="ask the vendor by another way which is right")
    said_by = keys.find(signer.fingerprint)
    if said_by and said_by.expires and said_by.expires < day:
        what = f"its key set says that the key which signed it, {signer.fingerprint}, was valid until {said_by.expires}"
        raise KeySetInvalid(what, place=place, hint="ask the vendor for a bundle with a key set that he has put right")
    return Vendor(vendor.name, keys)


def _left_out(before: tuple[Vendor, ...], after: tuple[Vendor, ...]) -> dict[str, str]:
    """The keys that vendors' sets had and have no more → the vendor's name."""
    kept = {each.key for vendor in after for each in vendor.keys.keys}
    return {each.key.fingerprint: vendor.name for vendor in before for each in vendor.keys.keys if each.key not in kept}


def _retired(vendor: Vendor) -> str:
    return f"that its vendor ({vendor.name}) signs with no more, as his key set of version {vendor.keys.version} says"


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _text(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if time else ""


# the folder -------------------------------------------------------------------------------------------------------------


def trusted_folder() -> Path:
    """Where trust lies unless somebody says otherwise: ~/.config/deployctl/trusted."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "deployctl" / "trusted"


def load_trust(folder: Path | None = None) -> Trust:
    """What the folder says; nothing if there is none. KeyProblem or KeySetInvalid with the file that cannot be read."""
    folder = folder or trusted_folder()
    vendors = tuple(_vendors(folder))
    state = _state(folder / "state.json")
    said = {name: reason for vendor in vendors for name, reason in vendor.keys.revoked.items()}
    return replace(state, vendors=vendors, revoked={**said, **state.revoked})


def _vendors(folder: Path) -> Iterator[Vendor]:
    for path in sorted(folder.glob("*.pub")):
        said = path.with_name(f"{path.stem}.keys.json")
        first = KeySet(FIRST, (VendorKey(PublicKey.load(path)),))
        yield Vendor(path.stem, read_keyset(said.read_bytes(), str(said)) if said.exists() else first)


def _state(path: Path) -> Trust:
    try:
        value = json.loads(path.read_bytes())
        if value["schema"] != SCHEMA:
            raise ValueError(f"schema {value['schema']!r}, expected {SCHEMA}")
        since = {name: date.fromisoformat(day) for name, day in value.get("since", {}).items()}
        floor = _time(value["floor"]) if value["floor"] else None
        return Trust((), dict(value["revoked"]), floor, since, dict(value.get("retired", {})))
    except FileNotFoundError:
        return Trust()
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise KeySetInvalid(f"cannot be read: {error}", place=str(path), hint="put back the copy that you have") from error


def save_trust(trust: Trust, folder: Path | None = None) -> None:
    """Write what was learned. Each file is whole or as before."""
    folder = folder or trusted_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    floor = trust.floor.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if trust.floor else None
    since = {name: day.isoformat() for name, day in trust.since.items()}
    state = {"schema": SCHEMA, "revoked": dict(trust.revoked), "since": since, "retired": dict(trust.retired), "floor": floor}
    write_whole(folder / "state.json", json.dumps(state, indent=2, sort_keys=True).encode() + b"\n")
    for vendor in trust.vendors:
        if vendor.keys.version > FIRST:
            write_whole(folder / f"{vendor.name}.keys.json", vendor.keys.dumps())


def add_trusted(key: PublicKey, name: str, folder: Path | None = None) -> Path:
    """Trust a key from now on, as `name`.pub; a name that another key has, or another set, gets a number.

    Returns the file.
    """
    folder = folder or trusted_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = {vendor.name: vendor.keys for vendor in _vendors(folder)}
    target = next(path for path in _names(folder, name) if not path.exists() or _speaks_for(path, known[path.stem], key))
    write_whole(target, f"{key.ssh_line} {name}\n".encode())
    return target


def _speaks_for(path: Path, keys: KeySet, key: PublicKey) -> bool:
    """Whether the file is of this key, and no later set left it out."""
    return PublicKey.load(path) == key and any(each.key == key for each in keys.keys)


def _names(folder: Path, name: str) -> Iterator[Path]:
    yield folder / f"{name}.pub"
    yield from (folder / f"{name}-{number}.pub" for number in range(2, 1000))


def revoke(fingerprint: str, reason: str, folder: Path | None = None) -> Trust:
    """Never trust a key again, whatever a vendor says. Returns the new trust."""
    trust = load_trust(folder)
    since = {fingerprint: trust.today(datetime.now(UTC)), **trust.since}
    changed = replace(trust, revoked={**trust.revoked, fingerprint: reason}, since=since)
    save_trust(changed, folder)
    return changed
