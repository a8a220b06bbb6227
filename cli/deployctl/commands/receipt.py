"""deployctl receipt: what a site holds and runs, for the vendor to carry home."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploybundle.errors import DeployctlError
from deploybundle.open import Bundle, Holds, Level, Receipt, Runs, open_bundle, write_receipt
from deploybundle.store import Held, Store
from deploybundle.trust import Signer, generate, load_private
from deploybundle.whole import write_whole
from deployctl.commands import show
from deployctl.commands.installed import installed
from deployctl.commands.options import INVENTORIES, Client, Inventories, site_of
from deployctl.commands.proof import health
from deployctl.site import Site

NAME = "receipt"


def command(
    client: Client, inventories: Inventories = INVENTORIES,
    level: Annotated[Level, typer.Option("--level", help="full: JSON, all blobs. text: one page, no machine's name.")] = "full",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it; default CLIENT.receipt.")] = None,
) -> None:  # fmt: skip
    """Write a small signed file that says what the site holds and runs: the next bundle can leave that out.

    Example: deployctl receipt --client acme --level text
    """
    site = site_of(client, inventories)
    store = Store(site.state)
    there = dict(_there(store.list(), store))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    holds = tuple(dict.fromkeys(Holds(one.name, one.version, one.index_digest) for one in there))
    blobs = sorted({digest for bundle in there.values() for digest in bundle.blobs})
    receipt = Receipt(site.name, now, holds, tuple(_runs(site)), tuple(blobs))
    path = out or Path(f"{client}.receipt")
    signer = _signer(site.state / "receipt.key")
    write_whole(path, write_receipt(receipt, level, signer))
    show.say(f"signed by this site: {signer.public.fingerprint}")
    show.out(str(path))


def _runs(site: Site) -> Iterator[Runs]:
    """Every product's release, host by host; hosts half way through an upgrade make two lines."""
    for project, facts in installed(site).items():
        services = health(facts)
        for version, index in sorted({_release(about) for about in facts.values()}):
            hosts = {name for name, about in facts.items() if _release(about) == (version, index)}
            here = [one for one in services if one.host in hosts]
            yield Runs(project, version, index, len(hosts), sum(one.good for one in here), len(here))


def _release(about: Mapping[str, Any]) -> tuple[str, str]:
    release = about["record"]["release"]
    return str(release["version"]), str(release["index"])


def _there(held: list[Held], store: Store) -> Iterator[tuple[Held, Bundle]]:
    """The bundles that are still where they were, and what they were."""
    for one in held:
        try:
            bundle = open_bundle(Path(one.path), None, around=store.around())
        except DeployctlError:
            show.say(f"{one.path} is not there any more: left out")
            continue
        if bundle.index_digest == one.index_digest:
            yield one, bundle


def _signer(path: Path) -> Signer:
    """The site's own key, made once; it proves to the vendor that a receipt was not changed on the way."""
    if not path.exists():
        generate(path, None, "ed25519")
    return load_private(path, None)
