"""Options that several verbs share."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.errors import InputError, did_you_mean
from deploybundle.trust import PublicKey
from deploybundle.trust.keyset import FINGERPRINT
from deployctl.secrets import AnsibleVault, Secret, VaultPassword
from deployctl.site import INVENTORIES as INVENTORIES  # the default of the option below, for the verbs
from deployctl.site import Site, load_site

Client = Annotated[
    str, typer.Option("--client", "-c", help="The client: a folder of --inventories.", envvar="DEPLOYCTL_CLIENT")
]
Inventories = Annotated[
    Path, typer.Option("--inventories", help="Where the clients' folders lie.", envvar="DEPLOYCTL_INVENTORIES")
]
BundleFile = Annotated[Path, typer.Argument(help="A file that `deployctl bundle` wrote.", metavar="BUNDLE")]
Bundle = Annotated[
    Path | None,
    typer.Argument(help="A file that `deployctl bundle` wrote; default: the one used last.", metavar="[BUNDLE]"),
]
Json = Annotated[bool, typer.Option("--json", help="Data for a script, on stdout.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--vault-password-file", help="Holds the password of vault.yml.", envvar="ANSIBLE_VAULT_PASSWORD_FILE"),
]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Holds the signing key's passphrase.", exists=True, dir_okay=False)
]


class PasswordsDiffer(InputError):
    """The password of a new vault was typed differently the second time.

    Run it again. No vault was written.
    """

    code = "passwords-differ"


class KeyUnknown(InputError):
    """What should name a key is no whole fingerprint: it is shortened, or misspelt.

    Give `SHA256:` and all 43 letters after it, or the public key's file: `ssh-keygen -lf KEY.pub` and `deployctl trust show`
    print whole fingerprints.
    """

    code = "key-unknown"


def fingerprint_of(key: str, known: Sequence[str]) -> str:
    """The fingerprint that a person named, whole or by a public key's file. KeyUnknown or KeyProblem if there is none."""
    if not key.startswith("SHA256:"):
        return PublicKey.load(Path(key)).fingerprint
    if not FINGERPRINT.fullmatch(key):
        starts = [each for each in known if each.startswith(key)]
        hint = did_you_mean(key, starts or known) or "give the public key's file"
        raise KeyUnknown(f"expected a whole fingerprint, SHA256: and 43 letters, got {key[:80]!r}", hint=hint)
    return key


def site_of(client: str, inventories: Path) -> Site:
    """The client's site."""
    return load_site((inventories / client).absolute())


def vault_of(site: Site, password_file: Path | None, *, new: bool = False) -> AnsibleVault:
    """The client's vault; its password is asked for where no file gives it and a person can answer.

    A vault that is not there yet needs a password only by who will make it: `new`. PasswordsDiffer.
    """
    path = site.folder / "group_vars" / "all" / "vault.yml"
    return AnsibleVault(path, _password(password_file, path, new))


def _password(file: Path | None, vault: Path, new: bool) -> VaultPassword:
    if file is not None:
        return VaultPassword(file=file)
    if not sys.stdin.isatty() or not (new or vault.exists()):
        return VaultPassword()
    if vault.exists():
        return VaultPassword(word=Secret(getpass.getpass("Vault password: ")))
    word = getpass.getpass(f"{vault} will be made. Its password: ")
    if word != getpass.getpass("Again: "):
        raise PasswordsDiffer("the two passwords differ; no vault was written", hint="type the same twice")
    return VaultPassword(word=Secret(word))


def cache() -> Path:
    """Where fetched and built things are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deployctl"


def config() -> Path:
    """Where a person's keys lie."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "deployctl"
