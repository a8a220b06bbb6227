"""deployctl keygen: a signing key."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deploybundle.trust import Algorithm, add_trusted, check_free, generate
from deployctl.commands import show
from deployctl.commands.options import Json, PassphraseFile, config

NAME = "keygen"
PROTECT = "--passphrase-file FILE, or --no-passphrase for a key that only its file mode protects"


class PassphraseMissing(InputError):
    """Nobody can type a passphrase here, or the file that should hold one is empty.

    Give it with `--passphrase-file`, or run it at a terminal. `--no-passphrase` makes an unprotected key on purpose.
    """

    code = "passphrase-missing"


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
    as_json: Json = False,
) -> None:
    """Make a key to sign bundles with. Give its fingerprint to your clients by another way than the bundle.

    Example: deployctl keygen
    """
    path = key or config() / "signing.key"
    algorithm: Algorithm = "ed25519" if ed25519 else "p256"
    check_free(path)
    word = _new_passphrase(passphrase_file, no_passphrase)
    public = generate(path, word, algorithm)
    add_trusted(public, path.stem)
    show.say(f"wrote {path} (private: never leaves this machine) and {path}.pub (for your clients)")
    show.say("Tell your clients this fingerprint by telephone or on paper, not with the bundle:")
    if as_json:
        show.data({"fingerprint": public.fingerprint, "words": list(public.words), "key": str(path), "public": f"{path}.pub"})
    else:
        show.out(f"{public.fingerprint}\n{' '.join(public.words)}")
    if word is None:
        show.say(f"{path} is NOT protected by a passphrase: whoever can read the file can sign as you")


def _new_passphrase(file: Path | None, none: bool) -> bytes | None:
    """A new key's passphrase: of a file, typed twice, or none where the file's mode must do."""
    if file is not None:
        return passphrase_of(file)
    if none:
        return None
    if not sys.stdin.isatty():
        raise PassphraseMissing("there is no terminal to type a passphrase at", hint=PROTECT)
    word = getpass.getpass("Passphrase of the new key (empty: protected by its file mode only): ")
    if word and word != getpass.getpass("Again: "):
        raise PassphrasesDiffer("the two passphrases differ", hint="type the same twice")
    return word.encode() or None


def passphrase_of(file: Path) -> bytes:
    """The passphrase that a file holds. PassphraseMissing if it is empty."""
    word = file.read_bytes().rstrip(b"\r\n")
    if not word:
        raise PassphraseMissing("holds no passphrase", place=str(file), hint=PROTECT)
    return word
