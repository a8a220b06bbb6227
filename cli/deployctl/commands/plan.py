"""deployctl plan: what an install would do, host by host, with bytes. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deploybundle.errors import InputError
from deploybundle.open import INDEX
from deploybundle.store import Store
from deployctl.apply import Prepared, prepare, ready, stage
from deployctl.commands import show
from deployctl.commands.admission import used_before
from deployctl.commands.by_hand import by_hand
from deployctl.commands.options import INVENTORIES, Bundle, Client, Inventories, Json, PasswordFile, site_of, vault_of
from deployctl.commands.verify import Key, verified
from deployctl.desired.paths import project_folder, record_file
from deployctl.desired.readme import table
from deployctl.plan import HostPlan, Leave, Plan

NAME = "plan"


class WhichProduct(InputError):
    """The site has several products, and the command does not say which one it means.

    Name the bundle, or the product with `--project`.
    """

    code = "which-product"


def command(
    client: Client, bundle: Bundle = None, inventories: Inventories = INVENTORIES, key: Key = None,
    vault_password_file: PasswordFile = None, as_json: Json = False,
    commands: Annotated[bool, typer.Option("--commands", help="Each step as the command that a person would type.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the plan here, for ansible-playbook.", hidden=True)] = None,
) -> None:  # fmt: skip
    """Show what `install` would do, and change nothing.

    Example: deployctl plan --client acme collector-1.0.0.bundle.tar
    """
    prepared = prepared_of(client, bundle, inventories, key, vault_password_file)
    warn(prepared.warnings)
    ready(prepared)
    if out is not None:
        written = stage(prepared, out.parent, {"run": f"plan-{out.parent.name}", "epoch": 0, "installed": ""})
        written.rename(out)
    if as_json:
        show.data(_as_data(prepared))
        return
    show.out(_typed(prepared) if commands and prepared.plan.changed else describe(prepared.plan))


def _typed(prepared: Prepared) -> str:
    files = {name: host.files for name, host in prepared.desired.hosts.items()}
    return "\n".join(by_hand(prepared.plan, files))


def _as_data(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.plan
    hosts = {name: asdict(host) for name, host in plan.changed.items()}
    head = {"project": plan.project, "version": plan.version, "installed": plan.installed, "warnings": prepared.warnings}
    return {**head, "size": plan.size, "hosts": hosts}


def prepared_of(client: str, bundle: Path | None, inventories: Path, key: Path | None, password: Path | None) -> Prepared:
    """Everything that is known before anything changes. Without a bundle the one that was installed last."""
    site = site_of(client, inventories)
    store = Store(site.state)
    path, used = bundle or installed_last(store), used_before(site, store)
    opened = verified(path, key, used, store.around())
    if store.complete(opened):  # a delta's patches are layers now
        opened = verified(path, key, used, store.around())
    return prepare(site, opened, vault_of(site, password))


def installed_last(store: Store) -> Path:
    """The bundle that was installed last, where the site has one product; of several nobody can know which is meant."""
    latest = {held.name: held.path for held in store.list()}
    if len(latest) > 1:
        words = f"which product? Installed from here were {', '.join(sorted(latest))}"
        raise WhichProduct(words, place="BUNDLE", hint="\n".join(f"name it: {path}" for path in latest.values()))
    return store.newest()


def describe(plan: Plan) -> str:
    """The plan for a person."""
    head = f"{plan.project} {_versions(plan)} at {plan.client}"
    if not plan.changed:
        return f"{head}: nothing to change"
    lines = [line for host in plan.changed.values() for line in _host(host, plan)]
    what = "packages and images" if any(host.packages for host in plan.hosts.values()) else "images"
    whole = f"{len(plan.changed)} of {len(plan.hosts)} hosts to change, {show.size(plan.size)} of {what} to send"
    return "\n".join([f"{head}: {whole}", *lines])


def warn(warnings: Sequence[str]) -> None:
    """What a person should know, and may accept."""
    for warning in warnings:
        show.say(f"note: {warning}")


def _versions(plan: Plan) -> str:
    """`1.0.0 → 1.1.0`, or the one version that there is."""
    before = [version for version in plan.installed if version != plan.version]
    return f"{', '.join(before)} → {plan.version}" if before else plan.version


def _host(host: HostPlan, plan: Plan) -> Iterator[str]:
    yield f"  {host.name}"
    if host.leave is not None:
        yield from leaving(host.leave, plan.project)
        return
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
        yield f"    stop   {name}: does not run on this host any more"
    for wave, name in host.migrate:
        yield f"    run    {name}, once, before wave {wave + 1} of {plan.waves}"
    for wave, names in host.waves.items():
        yield from (f"    start  {name} (wave {wave + 1} of {plan.waves}): {host.services[name]}" for name in names)
    for name in host.volumes:
        yield f"    keep   volume {name}, which is there from before, with its data"
    if not host.recorded:
        yield f"    write  {record_file(plan.project)}: what is installed here"


def leaving(leave: Leave, project: str) -> Iterator[str]:
    """What goes from a host, and what stays."""
    if leave.services:
        yield f"    stop   {', '.join(leave.services)}: removed from this host, with volumes that have no name"
    if leave.files:  # none where an earlier removal left only data
        yield f"    remove the table {table(project)}" + (
            ", the unit and the rule that all products share" if leave.last else ""
        )
    if leave.networks:
        yield f"    remove Docker's networks {', '.join(leave.networks)}"
    if leave.images:
        yield f"    remove images that nothing else uses: {', '.join(leave.images)}"
    if leave.files:
        yield f"    remove {_files((*leave.files, *leave.shared))}, {record_file(project)}"
    if leave.strangers:
        yield f"    remove what else lies in {project_folder(project)}: {', '.join(leave.strangers)}"
    if leave.packages:
        yield f"    keep   packages that install brought: `apt-get purge {' '.join(leave.packages)}` there removes them"
    for name in leave.delete:
        yield f"    DELETE volume {name}, with its data"
    for name in leave.volumes:
        yield f"    keep   volume {name}, with its data; `docker volume rm {name}` there deletes them"


def _files(paths: Sequence[str]) -> str:
    secret = sum("/secrets/" in path for path in paths)
    plain = [path for path in paths if "/secrets/" not in path]
    words = [*plain[:3], f"{len(plain) - 3} more" if len(plain) > 3 else "", f"{secret} of secrets" if secret else ""]
    return ", ".join(word for word in words if word)
