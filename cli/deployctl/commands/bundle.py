"""deployctl bundle: a release as one signed file."""

from __future__ import annotations

import getpass
import importlib.resources
import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deploybundle.open import is_receipt, read_receipt
from deploybundle.open.parts import SUFFIX, read_list
from deploybundle.pack import Toolbox, make
from deploybundle.sources import Layout, read_layout
from deploybundle.trust import FileSigner, PassphraseWrong, load_private
from deployctl.commands import show
from deployctl.commands.keygen import passphrase_of
from deployctl.commands.keyset import keyset_path
from deployctl.commands.options import Json, PassphraseFile, cache, config

NAME = "bundle"
SMALLEST, BLOCK = (4 << 10) - 1, 512


class PartSizeInvalid(InputError):
    """`--split` was given something that is no size.

    Write a number and a unit: 4GiB, 700MB.
    """

    code = "part-size-invalid"


def command(
    project: Annotated[Path, typer.Argument(help="The folder of compose.yaml.")] = Path(),
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="Compose files, if not the usual ones.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="The release; goes before the one in compose.yaml.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The product; goes before the one in compose.yaml.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write to; default PROJECT/dist.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The signing key; default ~/.config/deployctl/signing.key.")] = None,
    passphrase_file: PassphraseFile = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask Debian's mirror for the targets' packages again.")] = False,
    level: Annotated[int, typer.Option(min=1, max=19, help="zstd's level: 3 is quick, 19 small.")] = 3,
    best: Annotated[bool, typer.Option("--best", help="As small as can be, for slow links: level 19. Takes minutes.")] = False,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", help="OCI image layouts, folders or tars, that go before Docker: PATH, or IMAGE=PATH."),
    ] = None,
    since: Annotated[
        list[Path] | None,
        typer.Option("--since", help="A bundle, or a site's receipt: only what that lacks, as a delta."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="In numbered parts, each below this size: 4GiB, 700MB.")] = None,
    as_json: Json = False,
) -> None:
    """Read compose.yaml, gather images, files and deployctl itself, and write one signed bundle.

    Example: deployctl bundle; deployctl bundle app --since app/dist/collector-1.0.0.bundle.tar --split 4GiB
    """
    started = time.monotonic()
    signer = _signer(key or config() / "signing.key", passphrase_file)
    folder = out or project / "dist"
    for base in since or ():
        _told(base)
    with show.progress("bundling") as step:
        built = make(
            project, folder, signer, Toolbox(_data("locks"), cache(), fresh, _data("docs")),
            files=file or (), version=version, name=name, level=19 if best else level, progress=step, keyset=keyset_path(),
            layouts=[layout(text) for text in images or ()], since=since or (), split=part_size(split) if split else None,
        )  # fmt: skip
    seconds = time.monotonic() - started
    told = f"{show.size(built.exported)} exported, {show.size(built.reused)} found in earlier bundles"
    show.say(f"{show.size(built.size)}{_in_parts(built.path)} in {seconds:.1f} s; images: {told}")
    show.say(f"index {built.index_digest}, signed by {signer.public.fingerprint}")
    path = os.path.relpath(built.path) if built.path.is_relative_to(Path.cwd()) else str(built.path)
    if as_json:
        found = {"path": path, "size": built.size, "index": built.index_digest, "signed_by": signer.public.fingerprint}
        show.data({**found, "exported": built.exported, "reused": built.reused, "seconds": round(seconds, 3)})
    else:
        show.out(path)


def _in_parts(path: Path) -> str:
    if not path.name.endswith(SUFFIX):
        return ""
    listed = read_list(path)
    return f" in {len(listed.parts)} parts of at most {show.size(listed.each)}"


def _told(path: Path) -> None:
    """Whose receipt it is: only a person can know whether that is the site's key."""
    if is_receipt(path):
        receipt = read_receipt(path)
        signer = receipt.signed_by.fingerprint if receipt.signed_by else "nobody"
        show.say(f"receipt of {receipt.client}, written {receipt.written}, signed by {signer}")


def layout(text: str) -> Layout:
    """`PATH`, whose images have names, or `IMAGE=PATH`, whose only image is meant."""
    image, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        return read_layout(Path(path), image)
    return read_layout(Path(text))


def part_size(text: str) -> int:
    """`4GiB` as bytes of a part: smaller, so that it fits where files must be (FAT32), and whole blocks of a tar."""
    match = re.fullmatch(r"([1-9][0-9]{0,9}) ?(|k|m|g|t)(i?)b?", text, re.IGNORECASE)
    size = int(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " ") if match else 0
    if size <= SMALLEST:
        raise PartSizeInvalid(f"expected a size such as 4GiB or 700MB, at least 4KiB, got {text!r}", place="--split")
    return (size - 1) // BLOCK * BLOCK


def _signer(key: Path, file: Path | None) -> FileSigner:
    """The key, its passphrase asked for only if it has one."""
    try:
        return load_private(key, passphrase_of(file) if file else None)
    except PassphraseWrong:
        if file is not None or not sys.stdin.isatty():
            raise
    return _typed(key)


def _typed(key: Path) -> FileSigner:
    word = getpass.getpass(f"Passphrase of {key}: ")
    try:
        return load_private(key, word.encode())
    except PassphraseWrong as error:
        hint = "run it again, and type the passphrase that the key was made with"
        raise PassphraseWrong("the passphrase that was typed does not open this key", place=str(key), hint=hint) from error


def _data(name: str) -> Path:
    """A folder of the package's own data."""
    return Path(str(importlib.resources.files("deployctl") / "data" / name))
