"""deployctl verify: is a bundle whole, and by whom."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.open import Bundle, open_bundle, verify_blobs
from deploybundle.trust import PublicKey, UnknownSigner, load_trusted, trusted_folder
from deployctl.commands import show
from deployctl.commands.options import BundleFile

NAME = "verify"
Key = Annotated[Path | None, typer.Option("--key", help="The vendor's public key; default: the trusted ones.")]


def command(bundle: BundleFile, key: Key = None) -> None:
    """Check the signatures against the trusted keys, and every byte against the signed index.

    Example: deployctl verify dist/collector-1.0.0.bundle.tar
    """
    started = time.monotonic()
    opened = verified(bundle, key)
    seconds = time.monotonic() - started
    rate = opened.path.stat().st_size / seconds / 1e6
    show.say(f"whole: {len(opened.blobs)} blobs, {seconds:.1f} s, {rate:.0f} MB/s")
    show.out(f"{opened.name} {opened.version}, signed by {opened.signed_by.fingerprint if opened.signed_by else '-'}")


def verified(path: Path, key: Path | None = None) -> Bundle:
    """The bundle, its signatures and all its blobs checked."""
    opened = trusted(path, key)
    with show.progress("verifying") as step:
        verify_blobs(opened, step)
    return opened


def trusted(path: Path, key: Path | None = None) -> Bundle:
    """The bundle, its signatures checked against the trusted keys."""
    keys = [PublicKey.load(key)] if key else load_trusted()
    if not keys:
        hint = "after comparing the vendor's fingerprint: deployctl trust add VENDOR.pub"
        raise UnknownSigner("no vendor is trusted on this machine yet", place=str(trusted_folder()), hint=hint)
    return open_bundle(path, keys)
