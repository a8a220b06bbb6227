"""deployctl plan: what an install would do, host by host, with bytes. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploybundle.open import INDEX, Head
from deploybundle.store import Store
from deployctl.apply import Prepared, ask_facts, prepare, ready, stage
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Bundle, Client, Inventories, Json, PasswordFile, site_of, vault_of
from deployctl.commands.verify import Key, verified
from deployctl.plan import HostPlan, Plan
from deployctl.site import Site

NAME = "plan"


def command(
    client: Client, bundle: Bundle = None, inventories: Inventories = INVENTORIES, key: Key = None,
    vault_password_file: PasswordFile = None, as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Write the plan here, for ansible-playbook.", hidden=True)] = None,
) -> None:  # fmt: skip
    """Show what `install` would do, and change nothing.

    Example: deployctl plan --client acme collector-1.0.0.bundle.tar
    """
    prepared = prepared_of(client, bundle, inventories, key, vault_password_file)
    ready(prepared)
    if out is not None:
        written = stage(prepared, out.parent, {"run": f"plan-{out.parent.name}", "epoch": 0, "installed": ""})
        written.rename(out)
    if as_json:
        show.data({"size": prepared.plan.size, "hosts": {name: asdict(host) for name, host in prepared.plan.changed.items()}})
        return
    show.out(describe(prepared.plan))


def prepared_of(client: str, bundle: Path | None, inventories: Path, key: Path | None, password: Path | None) -> Prepared:
    """Everything that is known before anything changes."""
    site = site_of(client, inventories)
    store = Store(site.state)
    opened = verified(bundle or store.newest(), key, lambda head: _used(site, store, head))
    return prepare(site, opened, vault_of(site, password))


def _used(site: Site, store: Store, head: Head) -> bool:
    """Whether a bundle was admitted here before: by this deploy node's list, or, where that is lost, by a host's record."""
    if head.index_digest in {held.index_digest for held in store.list()}:
        return True
    facts, _ = ask_facts(site, site.targets, head.name)
    return any(head.index_digest in (about["record"] or {}).get("admitted", []) for about in facts.values())


def describe(plan: Plan) -> str:
    """The plan for a person."""
    if not plan.changed:
        return f"{plan.project} {plan.version} at {plan.client}: nothing to change"
    head = f"{plan.project} {plan.version} at {plan.client}: {len(plan.changed)} of {len(plan.hosts)} hosts to change"
    what = "packages and images" if any(host.packages for host in plan.hosts.values()) else "images"
    return "\n".join(
        [f"{head}, {show.size(plan.size)} of {what} to send", *(line for host in plan.changed.values() for line in _host(host))]
    )


def _host(host: HostPlan) -> Iterator[str]:
    yield f"  {host.name}"
    if lacks := host.packages:
        count = len(lacks.files) - len(INDEX)
        yield f"    install {' '.join(lacks.names)}: {count} packages of {lacks.target}, {show.size(lacks.size)}"
    for step in host.images:
        layers = f"{len(step.missing)} layer{'s' if len(step.missing) != 1 else ''}"
        yield f"    send   {step.ref}: {layers}, {show.size(step.size)}"
    for word, paths in (("write", host.write), ("remove", host.remove)):
        if paths:
            yield f"    {word:<6} {_files(paths)}"
    if host.network:
        yield "    load   the network table"
    for name in host.stop:
        yield f"    stop   {name}: not in this release any more"
    for wave, name in host.migrate:
        yield f"    run    {name}, once, before wave {wave}"
    for wave, names in host.waves.items():
        yield from (f"    start  {name} (wave {wave}): {host.services[name]}" for name in names)
    if not host.recorded:
        yield "    record what is installed"


def _files(paths: tuple[str, ...]) -> str:
    secret = sum("/secrets/" in path for path in paths)
    plain = [path for path in paths if "/secrets/" not in path]
    words = [*plain[:3], f"{len(plain) - 3} more" if len(plain) > 3 else "", f"{secret} of secrets" if secret else ""]
    return ", ".join(word for word in words if word)
