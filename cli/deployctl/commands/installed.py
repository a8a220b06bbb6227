"""What all products of a site run, as their hosts' records say; every host must answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployctl.apply import ask_facts
from deployctl.hosts import HostsFailed
from deployctl.site import Site

Facts = Mapping[str, Mapping[str, Any]]


def installed(site: Site) -> dict[str, Facts]:
    """By product the facts of the hosts that have a record of it. Raises what keeps a host from answering."""
    names = {name for about in _facts(site, "").values() for name in about["projects"]}
    return {name: {host: about for host, about in _facts(site, name).items() if about["record"]} for name in sorted(names)}


def records(site: Site) -> list[Mapping[str, Any]]:
    """Every record of every product on every host."""
    return [about["record"] for facts in installed(site).values() for about in facts.values()]


def _facts(site: Site, project: str) -> Facts:
    facts, problems = ask_facts(site, site.targets, project)
    if problems:
        raise problems[0] if len(problems) == 1 else HostsFailed(problems)
    return facts
