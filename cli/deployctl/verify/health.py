"""Is it healthy: judged from the containers that a host reports and the record that lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class ServiceHealth:
    """One service on one host. `state` is what a person reads; `good` is the verdict."""

    host: str
    service: str
    version: str
    state: str
    good: bool


def health(facts: Mapping[str, Facts]) -> list[ServiceHealth]:
    """Every service that the records name, host by host."""
    return [one for name, about in facts.items() for one in _host(name, about)]


def _host(host: str, facts: Facts) -> Iterator[ServiceHealth]:
    record = facts["record"] or {"services": {}, "release": {"version": "-"}}
    running = {container["service"]: container for container in facts["containers"]}
    for name in sorted(record["services"]):
        state = _state(running.get(name))
        yield ServiceHealth(host, name, record["release"]["version"], state, state in ("healthy", "running"))


def _state(container: Mapping[str, Any] | None) -> str:
    if container is None:
        return "missing"
    if container["state"] != "running":
        return f"{container['state']} ({container['exit_code']})"
    return str(container["health"] or "running")
