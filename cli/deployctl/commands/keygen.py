"""deployctl keygen: a signing key."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deploybundle.trust import Algorithm, add_trusted, generate
from deployctl.commands import show
from deployctl.commands.options import PassphraseFile, config

NAME = "keygen"


class PassphrasesDiffer(InputError):
    """The passphrase was typed differently the second time.

    Run it again. No key was written.
    """

    code = "passphrases-differ"


def command(
    key: Annotated[
        Path | None, typer.Option("--key", help="Where to write it; default ~/.config/deployctl/signing.key.")
    ] = None,
    ed25519: Annotated[bool, typer.Option("--ed25519", help="Ed25519 instead of P-256.")] = False,
    passphrase_file: PassphraseFile = None,
    no_passphrase: Annotated[bool, typer.Option("--no-passphrase", help="Protect it by the file's mode only.")] = False,
) -> None:
    """Make a key to sign bundles with. Give its fingerprint to your clients by another way than the bundle.

    Example: deployctl keygen
    """
    path = key or config() / "signing.key"
    algorithm: Algorithm = "ed25519" if ed25519 else "p256"
    public = generate(path, passphrase(passphrase_file, no_passphrase, twice=True), algorithm)
    add_trusted(public, path.stem)
    show.say(f"wrote {path} (private: never leaves this machine) and {path}.pub (for your clients)")
    show.say("Tell your clients this fingerprint by telephone or on paper, not with the bundle:")
    show.out(f"{public.fingerprint}\n{' '.join(public.words)}")


def passphrase(file: Path | None, none: bool, *, twice: bool = False) -> bytes | None:
    """The key's passphrase: of a file, typed, or none where the file's mode must do."""
    if file is not None:
        return file.read_bytes().rstrip(b"\n")
    if none or not sys.stdin.isatty():
        return None
    word = getpass.getpass("Passphrase of the signing key (empty: protected by its file mode only): ")
    if twice and word and word != getpass.getpass("Again: "):
        raise PassphrasesDiffer("the two passphrases differ", hint="type the same twice")
    return word.encode() or None
