"""deployctl prune: let go of the bundles in the store that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from deploybundle.open import open_bundle
from deploybundle.store import Held, Pruned, Store, prune
from deployctl.commands import show
from deployctl.commands.installed import records
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.trust import NotConfirmed
from deployctl.plan import older

NAME = "prune"
Records = Sequence[Mapping[str, Any]]


def command(
    client: Client, inventories: Inventories = INVENTORIES, as_json: Json = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:  # fmt: skip
    """Delete from the store what no host runs, what is not the way back, and what is older than both. Asks every host first.

    Bundles that were not taken in are left where they are. Works on a full disk.

    Example: deployctl prune --client acme
    """
    site = site_of(client, inventories)
    store = Store(site.state)
    folder, (keep, layers) = store.folder / "store", needed(store, set(kept(store.list(), records(site))))
    told = prune(folder, keep, rebuilt=store.layers, layers=layers, only_tell=True)
    for name in told.releases:
        show.say(f"  {name}")
    show.say(f"{len(told.releases)} releases, {told.blobs} blobs, {show.size(told.freed)}")
    if not (told.releases or told.blobs) or (as_json and not yes):
        if as_json:
            show.data(_as_data(told))
        return
    if not yes and not show.confirm("Delete them?"):
        raise NotConfirmed("nothing was deleted", hint="answer y, or give --yes")
    done = prune(folder, keep, rebuilt=store.layers, layers=layers)
    store.forget_missing()
    if as_json:
        show.data(_as_data(done))


def kept(held: Sequence[Held], records: Records) -> Iterator[str]:
    """The index digests to keep: what runs, the way back, what is not older than what runs, the newest of what runs nowhere."""
    running: dict[str, set[str]] = {}
    for record in records:
        running.setdefault(record["project"], set()).add(str(record["release"]["version"]))
        yield str(record["release"]["index"])
        if record.get("previous"):
            yield str(record["previous"]["index"])
    for one in held:
        versions = running.get(one.name)
        if versions and not any(older(one.version, version) for version in versions):
            yield one.index_digest
    for name in {one.name for one in held} - set(running):
        yield [one for one in held if one.name == name][-1].index_digest


def needed(store: Store, keep: set[str]) -> tuple[set[str], set[str]]:
    """Also the bundles that a delta to keep counts on, and those that they count on; and the diffIDs of their layers."""
    paths = {held.index_digest: Path(held.path) for held in store.list()}
    todo, found, layers = list(keep), set[str](), set[str]()
    while todo:
        index = todo.pop()
        if index not in found and index in paths and paths[index].exists():
            bundle = open_bundle(paths[index], None, around=store.around())
            layers |= {layer.diff_id for image in bundle.images.values() for layer in image.layers}
            todo += [each.index for each in bundle.delta.since] if bundle.delta else []
        found.add(index)
    return found, layers


def _as_data(pruned: Pruned) -> dict[str, Any]:
    return {"releases": list(pruned.releases), "blobs": pruned.blobs, "bytes": pruned.freed}
