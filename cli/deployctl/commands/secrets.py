"""deployctl secrets: what the release needs, made where it can be made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.release import SecretSpec
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, PasswordFile, site_of, vault_of
from deployctl.commands.releases import release_of
from deployctl.commands.verify import Key
from deployctl.secrets import Secret, generate
from deployctl.site import Site

app = typer.Typer()
From = Annotated[Path, typer.Argument(help="A bundle, or the folder of a compose.yaml.", metavar="BUNDLE|FOLDER")]


@app.callback()
def _group() -> None:
    """A client's secrets."""


@app.command("generate")
def command(
    release: From,
    client: Client,
    inventories: Inventories = INVENTORIES,
    vault_password_file: PasswordFile = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Make the secrets that the release needs and the client's vault lacks. What is there is kept.

    Example: deployctl secrets generate --client acme dist/collector-1.0.0.bundle.tar
    """
    site = site_of(client, inventories)
    needed = release_of(release, site, key)
    vault = vault_of(site, vault_password_file, new=True)
    held = set(vault.read(needed.name)) & set(needed.secrets)
    made = {name: _make(spec, site) for name, spec in needed.secrets.items() if name not in held}
    new = {name: secret for name, secret in made.items() if secret is not None}
    if new:
        vault.add(needed.name, new)
    show.say(_told(vault.path, new, held))
    shared = sorted(held - set(vault.own(needed.name)))
    if shared:
        show.say(f"at the top, for every product that needs a secret of this name: {', '.join(shared)}")
    unknown = sorted(set(made) - set(new))
    if as_json:
        show.data({"vault": str(vault.path), "made": sorted(new), "kept": sorted(held), "missing": unknown})
    if unknown:
        names = ", ".join(unknown)
        show.say(f"only the client knows: {names}; set them below {needed.name}: with: ansible-vault edit {vault.path}")


def _told(path: Path, new: Mapping[str, Secret], held: Collection[str]) -> str:
    if new:
        return f"{path}: {len(new)} made ({', '.join(sorted(new))}), {len(held)} kept"
    return f"{path}: nothing to make, {len(held)} kept" if held else f"nothing to make; {path} was not written"


def _make(spec: SecretSpec, site: Site) -> Secret | None:
    names = [*spec.hosts, *(host.address for host in site.targets), "localhost"]
    return generate(spec.kind, length=spec.length, names=names)
