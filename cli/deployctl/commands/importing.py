"""deployctl import: take a bundle into the deploy node's store, so that the medium can leave the site."""

from __future__ import annotations

from typing import Annotated

import typer

from deploybundle.open import open_bundle
from deploybundle.store import Store, take
from deployctl.commands import show
from deployctl.commands.admission import used_before
from deployctl.commands.options import INVENTORIES, BundleFile, Client, Inventories, Json, site_of
from deployctl.commands.verify import Key, learn, trusted

NAME = "import"


def command(
    bundle: BundleFile, client: Client, inventories: Inventories = INVENTORIES, key: Key = None, as_json: Json = False,
    default: Annotated[bool, typer.Option(help="The next `install` without a bundle takes this one.")] = True,
) -> None:  # fmt: skip
    """Copy a bundle into the store, each blob once across releases and checked on its way. Installs nothing.

    Example: deployctl import --client acme /media/usb/collector-1.1.0.bundle.tar
    """
    site = site_of(client, inventories)
    store = Store(site.state)
    opened = trusted(bundle, key, used_before(site, store), store.around())
    with show.progress("taking in") as step:
        taken = take(opened, store.folder / "store", step)
    learn(opened)
    again = open_bundle(taken.path, [opened.signed_by] if opened.signed_by else None, around=store.around())
    if default:
        store.admit(again)
    if as_json:
        show.data({"path": str(taken.path), "copied": taken.copied, "kept": taken.kept, "index": opened.index_digest})
        return
    show.say(f"{opened.name} {opened.version}: {show.size(taken.copied)} copied, {show.size(taken.kept)} were there")
    show.out(str(taken.path))
