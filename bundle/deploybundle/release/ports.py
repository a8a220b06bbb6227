"""The ports that a normalised service is known to listen on, and those it publishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from .model import Port
from .schema import Protocol

_LOOPBACK = ("127.", "::1", "localhost")


def exposed(service: Mapping[str, Any]) -> Iterator[Port]:
    """Ports of `expose`, ranges written out."""
    for entry in service.get("expose") or []:
        span, _, protocol = str(entry).partition("/")
        first, _, last = span.partition("-")
        for port in range(int(first), int(last or first) + 1):
            yield Port(port, cast(Protocol, protocol or "tcp"))


def targets(service: Mapping[str, Any]) -> Iterator[Port]:
    """Container ports of `ports`."""
    for entry in service.get("ports") or []:
        yield _port(entry)


def published(service: Mapping[str, Any]) -> dict[Port, int]:
    """Container port to host port, where Compose fixes one. Of several, one that is not of the loopback address."""
    found: dict[Port, int] = {}
    for entry in sorted(service.get("ports") or [], key=_is_loopback, reverse=True):
        if str(entry.get("published", "")).isdigit():
            found[_port(entry)] = int(entry["published"])
    return found


def reachable(service: Mapping[str, Any]) -> tuple[Port, ...]:
    """Ports that are published, with a fixed host port, for others than the machine itself."""
    entries = service.get("ports") or []
    return tuple(dict.fromkeys(_port(e) for e in entries if str(e.get("published", "")).isdigit() and not _is_loopback(e)))


def _port(entry: Mapping[str, Any]) -> Port:
    return Port(int(entry["target"]), cast(Protocol, entry.get("protocol", "tcp")))


def _is_loopback(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("host_ip", "")).startswith(_LOOPBACK)
