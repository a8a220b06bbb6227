"""deployctl verify: is a bundle whole, and by whom."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.open import Around, Bundle, Head, open_bundle, peek, verify_blobs
from deploybundle.trust import KeyExpired, KeyRetired, PublicKey, Trust, UnknownSigner, load_trust, save_trust, trusted_folder
from deployctl.commands import show
from deployctl.commands.options import BundleFile, Json

NAME = "verify"
Admitted = Callable[[Head], bool]
"""Whether a bundle was used here before: then only a revocation stands in its way."""
Key = Annotated[Path | None, typer.Option("--key", help="The vendor's public key; default: the trusted ones.")]


def never(head: Head) -> bool:
    """Nothing was used before."""
    return False


def command(bundle: BundleFile, key: Key = None, as_json: Json = False) -> None:
    """Check the signatures against the trusted keys, and every byte against the signed index.

    Example: deployctl verify dist/collector-1.0.0.bundle.tar
    """
    started = time.monotonic()
    opened = verified(bundle, key)
    seconds = time.monotonic() - started
    size = sum(at.size for at in opened.blobs.values())
    show.say(f"whole: {len(opened.blobs)} blobs, {show.size(size)}, {seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s")
    for each in opened.delta.since if opened.delta else ():
        show.say(f"a delta of {show.size(opened.size)}: counts on {each.release} (index {each.index})")
    signer = opened.signed_by.fingerprint if opened.signed_by else "-"
    if as_json:
        found = {"name": opened.name, "version": opened.version, "index": opened.index_digest, "signed_by": signer}
        show.data({**found, "blobs": len(opened.blobs), "seconds": round(seconds, 3)})
    else:
        show.out(f"{opened.name} {opened.version}, signed by {signer}")


def verified(path: Path, key: Path | None = None, admitted: Admitted = never, around: Around | None = None) -> Bundle:
    """The bundle, its signatures and all its blobs checked; those of a delta also where they lie in other bundles."""
    opened = trusted(path, key, admitted, around)
    with show.progress("verifying") as step:
        verify_blobs(opened, step)
    return opened


def trusted(path: Path, key: Path | None = None, admitted: Admitted = never, around: Around | None = None) -> Bundle:
    """The bundle, its signatures checked against the trusted keys; those of what was admitted before against its own key.

    `key` stands for what this machine trusts, but for revocations.
    """
    trust, now = load_trust(), datetime.now(UTC)
    if key is not None:
        opened = open_bundle(path, [PublicKey.load(key)], around=around)
        trust.judge(_signer(opened), now, admitted=True, place=str(path))
        return opened
    head = peek(path)
    try:
        _judged(trust, head, path, now)
    except (UnknownSigner, KeyRetired, KeyExpired):
        if not admitted(head):
            raise
    return open_bundle(path, [head.vendor], around=around)


def _judged(trust: Trust, head: Head, path: Path, now: datetime) -> None:
    if not trust.vendors and head.vendor.fingerprint not in trust.revoked:
        hint = "after comparing the vendor's fingerprint: deployctl trust add VENDOR.pub"
        raise UnknownSigner("no vendor is trusted on this machine yet", place=str(trusted_folder()), hint=hint)
    trust.judge(head.vendor, now, admitted=False, place=str(path))


def _signer(bundle: Bundle) -> PublicKey:
    assert bundle.signed_by is not None  # noqa: S101 - opened with keys
    return bundle.signed_by


def learn(bundle: Bundle) -> None:
    """What a bundle that is used teaches: its vendor's newer key set, his revocations, and how late it is at least."""
    before = load_trust()
    if bundle.statement is None:
        return
    after = before.learned(bundle.statement, _signer(bundle), bundle.keyset, str(bundle.path))
    if after != before:
        save_trust(after)
        for fingerprint in sorted(set(after.revoked) - set(before.revoked)):
            show.say(f"revoked by the vendor, refused from now on: {fingerprint} ({after.revoked[fingerprint]})")
