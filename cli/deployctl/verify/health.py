"""Is it healthy: judged from the containers that a host reports and the record that lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]
ONE_OFF = "com.docker.compose.oneoff"
"""Compose's label for what `docker compose run` made: a migration, not a service."""


@dataclass(frozen=True)
class ServiceHealth:
    """One service on one host. `state` is what a person reads; `good` is the verdict."""

    host: str
    service: str
    version: str
    state: str
    good: bool
    recorded: bool = True
    """False: its containers are there, and no install that put them there has ended."""


def health(facts: Mapping[str, Facts]) -> list[ServiceHealth]:
    """Every service that the records name, host by host."""
    return [one for name, about in facts.items() for one in _host(name, about)]


def _host(host: str, facts: Facts) -> Iterator[ServiceHealth]:
    record = facts["record"] or {"services": {}, "release": {"version": "-"}}
    running = {container["service"]: container for container in facts["containers"]}
    for name in sorted(record["services"]):
        state = _state(running.get(name))
        yield ServiceHealth(host, name, record["release"]["version"], state, state in ("healthy", "running"))


def unrecorded(facts: Mapping[str, Facts]) -> list[ServiceHealth]:
    """The services whose containers are there though no record names them: a run that did not end started them."""
    return [one for name, about in facts.items() for one in _unnamed(name, about)]


def _unnamed(host: str, facts: Facts) -> Iterator[ServiceHealth]:
    named = (facts["record"] or {"services": {}})["services"]
    there = {each["service"]: each for each in facts["containers"] if each["labels"].get(ONE_OFF) != "True"}
    for name in sorted(there.keys() - named.keys()):
        state = _state(there[name])
        yield ServiceHealth(host, name, "-", state, state in ("healthy", "running"), recorded=False)


def _state(container: Mapping[str, Any] | None) -> str:
    if container is None:
        return "missing"
    if container["state"] != "running":
        return f"{container['state']} ({container['exit_code']})"
    return str(container["health"] or "running")
