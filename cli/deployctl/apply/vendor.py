"""Whose product it is: the vendor whose key signed what is installed, by the name under which this site trusts him."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploybundle.errors import RefusedError
from deploybundle.open import Bundle
from deploybundle.trust import Trust, load_trust


class OtherVendor(RefusedError):
    """The bundle is signed by another trusted vendor than the product of this name that is installed.

    It would take over that product's data and be given its secrets. If the product has changed hands, or the vendor is
    trusted under another name now, say so with `--other-vendor`. If two vendors gave their products the same name, install
    them as two clients, each in an inventory of its own.
    """

    code = "other-vendor"


def signer(bundle: Bundle, trust: Trust | None = None) -> dict[str, str]:
    """For the record: the key that signed the bundle, and its vendor's name here; no name if he is not trusted (`--key`)."""
    if bundle.signed_by is None:
        return {}
    key = bundle.signed_by.fingerprint
    return {"key": key, "vendor": (load_trust() if trust is None else trust).name_of(key)}


def refuse_other(bundle: Bundle, facts: Mapping[str, Mapping[str, Any]], trust: Trust | None = None) -> None:
    """Raise OtherVendor where a host runs the product of another vendor. What was admitted there once may come back."""
    now = signer(bundle, trust)
    for host, about in facts.items():
        record = about["record"] or {}
        before = record.get("signer") or {}
        known = bundle.index_digest in record.get("admitted", []) or before.get("key") == now.get("key")
        if not known and before.get("vendor") and now.get("vendor") and before["vendor"] != now["vendor"]:
            here, this = (f"by {one['vendor']} ({one['key']})" for one in (before, now))
            said = f"{bundle.name} is here {here}; this bundle is {this}"
            raise OtherVendor(said, place=host, hint="if that is meant: --other-vendor")
