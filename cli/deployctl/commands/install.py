"""deployctl install: bring a site to a release, and prove it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from deploybundle.errors import InputError
from deploybundle.store import Store
from deployctl.apply import Event, Outcome, Prepared, ask_facts, install, log_of, ready
from deployctl.apply.vendor import refuse_other
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Bundle, Client, Inventories, Json, PasswordFile
from deployctl.commands.plan import describe, prepared_of, warn
from deployctl.commands.proof import as_data, flows_of, health, show_flows, show_health, verdict
from deployctl.commands.verify import Key, learn
from deployctl.plan import HostPlan, Plan, older

NAME = "install"
QUIET = ("Validating arguments", "What would be run", "Start what has its check switched off")
WORK: Mapping[str, Callable[[HostPlan], object]] = {
    "packages": lambda host: host.packages,
    "images": lambda host: host.images,
    "files": lambda host: host.write or host.remove,
    "network": lambda host: host.network,
    "Remove containers of services that are gone": lambda host: host.stop,
    "Run the migrations": lambda host: host.migrate,
    "Stop what holds files that are no longer there": lambda host: host.restart,
    "Remove what cannot be started again": lambda host: host.anew,
}
"""Roles and steps that Ansible skips where a host's plan has nothing for them."""


class OlderRelease(InputError):
    """The bundle holds an older release than the one installed, and nobody said that this is meant.

    Give --older to go back; data that a newer release migrated may not fit an older one.
    """

    code = "older-release"


def command(
    client: Client, bundle: Bundle = None, inventories: Inventories = INVENTORIES, key: Key = None,
    vault_password_file: PasswordFile = None, as_json: Json = False,
    flows: Annotated[bool, typer.Option(help="Try every flow, and every connection that is none.")] = True,
    back: Annotated[bool, typer.Option("--older", help="Yes, go back to an older release than the one installed.")] = False,
    other_vendor: Annotated[bool, typer.Option("--other-vendor", help="Yes, replace another vendor's product.")] = False,
) -> None:  # fmt: skip
    """Verify the bundle, check the hosts, show the plan, apply it, and prove health and isolation.

    Run it again at any time: what is done is not done again.

    Example: deployctl install --client acme collector-1.0.0.bundle.tar
    """
    clock = Clock()
    prepared = clock.time("verify, ask, plan", lambda: prepared_of(client, bundle, inventories, key, vault_password_file))
    warn(prepared.warnings)
    ready(prepared)
    if not back:
        refuse_older(prepared)
    if not other_vendor:
        refuse_other(prepared.bundle, prepared.facts)
    learn(prepared.bundle)
    Store(prepared.site.state).admit(prepared.bundle)
    with contextlib.ExitStack() as stack:
        log = log_of(prepared.site)
        if prepared.plan.changed:
            stack.enter_context(show.noted(log.path, log.write))
        show.say(describe(prepared.plan))
        with show.progress("sending images") as step:
            outcome = clock.time("apply", lambda: install(prepared, Teller(step, prepared.plan.size, idle(prepared.plan)), log))
        code = clock.time("prove", lambda: _prove(prepared, outcome, as_json, flows))
        if not as_json:
            _summary(prepared, outcome, clock)
    raise typer.Exit(code)


def refuse_older(prepared: Prepared) -> None:
    """An old release with known holes is validly signed for ever: going back is for the operator to say."""
    for name, facts in prepared.facts.items():
        installed = str(((facts["record"] or {}).get("release") or {}).get("version", ""))
        if installed and older(prepared.plan.version, installed):
            what = f"{prepared.plan.project} {installed} is installed, newer than {prepared.plan.version} of the bundle"
            raise OlderRelease(what, place=name, hint="to go back on purpose: --older")


def _prove(prepared: Prepared, outcome: Outcome, as_json: bool, flows: bool) -> int:
    site, project = prepared.site, prepared.plan.project
    facts, problems = ask_facts(site, prepared.hosts, project) if prepared.plan.changed else (prepared.facts, [])
    if problems:
        raise problems[0]
    facts = {name: about for name, about in facts.items() if name in prepared.desired.hosts}
    services, tried = health(facts), flows_of(site, project, facts) if flows else []
    if as_json:
        sent = sum(outcome.bytes.values())
        show.data({"changed": sorted(prepared.plan.changed), "bytes": sent, **as_data(services, tried)})
    else:
        show_health(services)
        if flows:
            show_flows(tried, facts)
    return verdict(services, tried)


def _summary(prepared: Prepared, outcome: Outcome, clock: Clock) -> None:
    plan = prepared.plan
    sent = sum(outcome.bytes.values())
    changed = (
        f"{len(plan.changed)} of {len(plan.hosts)} hosts changed, {show.size(sent)} of images sent"
        if plan.changed
        else "nothing to change"
    )
    show.out(f"{plan.project} {plan.version} at {plan.client}: {changed}")
    show.out("time: " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in clock.phases.items()))
    for host, leave in plan.leaving.items():
        for volume in leave.volumes:
            show.out(f"{host} has no part any more; the volume {volume} stays there, with its data")
    for entrance in prepared.desired.entrances:
        show.out(f"reachable from outside: {entrance}")


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    def time(self, phase: str, work: Callable[[], Any]) -> Any:
        """Do the work and note how long it took."""
        began = time.monotonic()
        try:
            return work()
        finally:
            self.phases[phase] = time.monotonic() - began


def idle(plan: Plan) -> frozenset[str]:
    """Roles and steps that no host has work for: to name them would say that they were done."""
    return frozenset(name for name, work in WORK.items() if not any(work(host) for host in plan.changed.values()))


class Teller:
    """Tells a person what happens: a line a step that is not idle, and bytes while images travel."""

    def __init__(self, step: show.Step, whole: int, idle: frozenset[str] = frozenset()) -> None:
        self.step, self.whole, self.idle = step, whole, idle
        self.told = ""
        self.sent: dict[tuple[str, str], int] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event["event"] == "start":
            self._task(str(event["task"]))
        elif event["event"] == "bytes":
            self.sent[event["host"], event["image"]] = int(event["sent"])
            self.step(sum(self.sent.values()), self.whole)
        elif event["event"] in ("failed", "unreachable"):
            show.say(f"  {event['host']}: {event['event']}: {event['task']}")

    def _task(self, name: str) -> None:
        """What the playbook itself does between the roles is housekeeping, and quiet."""
        role, _, words = name.rpartition(" : ")
        if role and words != self.told and not self.idle & {role, words} and not words.startswith(QUIET):
            show.say(f"  {words}")
        self.told = words
