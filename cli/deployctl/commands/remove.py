"""deployctl remove: take a product away from a site's hosts. Data stay unless their volumes are named."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from deploybundle.errors import InputError, did_you_mean, nearest
from deploybundle.store import Store
from deployctl.apply import Removal, ask_facts, log_of, prepare_removal, remove
from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.commands.install import Teller
from deployctl.commands.options import INVENTORIES, Client, Inventories, Json, site_of
from deployctl.commands.plan import WhichProduct, leaving
from deployctl.commands.status import NothingInstalled
from deployctl.site import Site

NAME = "remove"


class NotConfirmed(InputError):
    """Nobody confirmed the removal by typing the client's name.

    Nothing was removed. Run it at a terminal and type the name, or give `--yes` in a script that knows what it does.
    """

    code = "removal-not-confirmed"


def command(
    client: Client, inventories: Inventories = INVENTORIES, as_json: Json = False,
    project: Annotated[str | None, typer.Option(help="The product, where the site has several.")] = None,
    volumes: Annotated[
        list[str] | None, typer.Option("--volumes", metavar="NAME", help="Delete this volume, too, with its data. Repeat it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:  # fmt: skip
    """Show what a product has on the hosts, ask, and take it away. Data volumes stay, unless each is named.

    Run it again at any time, also for a host that did not answer: what is done is not done again. Nor is it too late then to
    name a volume that stayed.

    Example: deployctl remove --client acme --project collector --volumes collector_cache
    """
    site = site_of(client, inventories)
    name = project or _only(site, volumes or ())
    if name is None:
        show.data({"removed": {}, "volumes": {}, "left": []}) if as_json else show.out(
            f"nothing of ours is on {client}'s hosts"
        )
        raise typer.Exit(Exit.DONE)
    shown = prepare_removal(site, name, frozenset(volumes or ()))
    if not shown.plan.hosts and not shown.silent:
        _refuse_misspelt(site, name)
    _tell(shown)
    if shown.plan.hosts:
        if not yes:
            _ask(client)
        log = log_of(site)
        with show.noted(log.path, log.write), show.progress("removing") as step:
            remove(shown, Teller(step, 0), log)
    if not shown.silent:
        Store(site.state).drop(shown.plan.project)
    _report(shown, as_json)
    raise typer.Exit(Exit.SITE if shown.silent else Exit.DONE)


def _refuse_misspelt(site: Site, project: str) -> None:
    """Nothing is left of a product that was removed; but where another has nearly that name, it was meant, and is there."""
    facts, _ = ask_facts(site, site.targets, "")
    others = {name for about in facts.values() for name in about["projects"]}
    if nearest(project, sorted(others - {project})):
        raise NothingInstalled(f"nothing of {project} is on its hosts", place=site.name, hint=did_you_mean(project, others))


def _only(site: Site, volumes: Sequence[str]) -> str | None:
    """The one product that has anything on the hosts that answer; None if all answer and have nothing."""
    facts, errors = ask_facts(site, site.targets, "")
    found = sorted({name for about in facts.values() for name in about["projects"]})
    if not found and errors:
        hint = "\n".join(f"not asked: {error}" for error in errors)
        raise NothingInstalled("nothing of ours is on the hosts that answer", place=site.name, hint=hint)
    if not found and volumes:
        what = "nothing of ours is there that tells whose volume it is"
        raise WhichProduct(what, place="--project", hint=_again(site, "PRODUCT", volumes))
    if not found:
        return None
    if len(found) > 1:
        hint = "\n".join(_again(site, name) for name in found)
        raise WhichProduct(f"which one? There are {', '.join(found)}", place="--project", hint=hint)
    return str(found[0])


def _again(site: Site, project: str, volumes: Sequence[str] = ()) -> str:
    return site.command("remove", "--project", project, *(word for name in volumes for word in ("--volumes", name)))


def _tell(shown: Removal) -> None:
    plan = shown.plan
    if not plan.hosts and not shown.silent:
        return
    version = " ".join([plan.project, *plan.installed])
    show.say(f"{version} at {plan.client}: to be removed from {len(plan.hosts)} host{'s' if len(plan.hosts) != 1 else ''}")
    for name, leave in plan.leaving.items():
        show.say(f"  {name}")
        for line in leaving(leave, plan.project):
            show.say(line)
    for error in shown.silent:
        show.say(f"  {error}: left as it is; run the same command again when it answers")


def _ask(client: str) -> None:
    if not sys.stdin.isatty():
        raise NotConfirmed("nobody can be asked here", place="remove", hint="--yes removes what was shown without asking")
    if show.typed("Type the client's name to remove all of this: ") != client:
        raise NotConfirmed(f"that is not {client}; nothing was removed", place="remove")


def _report(shown: Removal, as_json: bool) -> None:
    site, plan = shown.site, shown.plan
    kept = {name: list(leave.volumes) for name, leave in plan.leaving.items() if leave.volumes}
    kept |= {name: list(volumes) for name, volumes in shown.data.items()}
    if as_json:
        hosts = {name: asdict(leave) for name, leave in plan.leaving.items()}
        show.data({"project": plan.project, "removed": hosts, "volumes": kept, "left": [str(error) for error in shown.silent]})
        return
    show.out(f"{plan.project} at {plan.client}: removed from {', '.join(plan.hosts) or 'no host; there was nothing'}")
    for name, volumes in kept.items():
        show.out(f"{name} keeps its data: {', '.join(volumes)}; to delete them: {_again(site, plan.project, volumes)}")
    for error in shown.silent:
        show.out(f"not removed: {error}; run the same command again when it answers")
    show.out(f"here stay the inventory, the journal and the logs ({site.state}), and the product's secrets in vault.yml")
