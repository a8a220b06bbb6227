"""A vendor's key set: which keys sign his bundles, until when, and which never again. It travels inside a bundle.

Canonical JSON: {"schema": 1, "version": 3, "keys": [{"key": "ecdsa-sha2-nistp256 AAAA…", "expires": "2028-12-31"}],
"revoked": [{"fingerprint": "SHA256:…", "reason": "lost"}]}; `expires` may be null. The version only ever rises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from deploybundle.trust import canonical
from deploybundle.trust.keys import PublicKey
from deploybundle.trust.problems import KeySetInvalid

SCHEMA = 1
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
KEYS, REVOKED, REASON, VERSION = 16, 256, 200, 1_000_000_000
"""The most that a set may hold: keys, revocations, letters of a reason; and its highest version."""


@dataclass(frozen=True)
class VendorKey:
    """One key of a set. `expires` is its last day, UTC; None for no end."""

    key: PublicKey
    expires: date | None = None


@dataclass(frozen=True)
class KeySet:
    """The keys that a vendor signs with, and those revoked: fingerprint → reason."""

    version: int
    keys: tuple[VendorKey, ...]
    revoked: Mapping[str, str] = field(default_factory=dict)

    def find(self, fingerprint: str) -> VendorKey | None:
        """The key of this fingerprint, if it is in the set and not revoked."""
        return next((each for each in self.valid if each.key.fingerprint == fingerprint), None)

    @property
    def valid(self) -> tuple[VendorKey, ...]:
        """The keys that are not revoked, also those whose last day is over."""
        return tuple(each for each in self.keys if each.key.fingerprint not in self.revoked)

    def dumps(self) -> bytes:
        """The set in its one spelling."""
        keys = [{"key": each.key.ssh_line, "expires": each.expires and each.expires.isoformat()} for each in self.keys]
        revoked = [{"fingerprint": name, "reason": reason} for name, reason in sorted(self.revoked.items())]
        return canonical.dumps({"schema": SCHEMA, "version": self.version, "keys": keys, "revoked": revoked})


def read_keyset(data: bytes, place: str) -> KeySet:
    """The key set of these bytes. KeySetInvalid for everything that is not exactly one."""
    try:
        found = _parse(canonical.loads(data))
        if found.dumps() != data:
            raise ValueError("not in its one spelling")
    except (ValueError, TypeError, LookupError) as error:
        raise KeySetInvalid(f"is no key set: {error}", place=place, hint="expected what `deployctl keyset` writes") from error
    return found


def _parse(value: Mapping[str, Any]) -> KeySet:
    if value["schema"] != SCHEMA or type(value["schema"]) is not int:
        raise ValueError(f"schema {value['schema']!r}, expected {SCHEMA}")
    keys = tuple(VendorKey(_key(each["key"]), _day(each["expires"])) for each in value["keys"])
    revoked = {_fingerprint(each["fingerprint"]): _reason(each["reason"]) for each in value["revoked"]}
    _check_sizes(value["version"], keys, revoked)
    return KeySet(value["version"], keys, revoked)


def _check_sizes(version: Any, keys: tuple[VendorKey, ...], revoked: Mapping[str, str]) -> None:
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"version {str(version)[:40]}, expected 1 to {VERSION}")
    if not 1 <= len(keys) <= KEYS or len(revoked) > REVOKED:
        raise ValueError(f"{len(keys)} keys and {len(revoked)} revoked; expected 1 to {KEYS}, and at most {REVOKED}")
    if len({each.key for each in keys}) != len(keys):
        raise ValueError("a key stands twice")


def _key(line: Any) -> PublicKey:
    key = PublicKey.parse(str(line).encode())
    if key.ssh_line != line:
        raise ValueError("a key is not one line without a comment")
    return key


def _day(text: Any) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _fingerprint(text: Any) -> str:
    if not isinstance(text, str) or not FINGERPRINT.fullmatch(text):
        raise ValueError(f"{str(text)[:80]!r} is no fingerprint; expected SHA256:…")
    return text


def _reason(text: Any) -> str:
    if not isinstance(text, str) or len(text) > REASON or not text.isprintable():
        raise ValueError(f"a reason has at most {REASON} printable letters")
    return text
