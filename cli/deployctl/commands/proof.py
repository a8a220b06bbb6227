"""What is proven after an install and by status: health, and flows both ways. Shown, and turned into an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deployctl.commands import show
from deployctl.commands.exits import Exit
from deployctl.site import Site
from deployctl.verify import ABSENT, FlowVerdict, ServiceHealth, absent_callers, broken, health, try_flows, unrecorded

Facts = Mapping[str, Mapping[str, Any]]


def flows_of(site: Site, project: str, facts: Facts) -> list[FlowVerdict]:
    """Try every probe that the hosts' records name."""
    return try_flows(site, project, {name: list((about["record"] or {}).get("probes", [])) for name, about in facts.items()})


def show_health(found: Sequence[ServiceHealth]) -> None:
    """A line a service."""
    rows = [(one.host, one.service, one.version, one.state if one.recorded else f"{one.state}, not recorded") for one in found]
    show.out(show.table(rows, ("host", "service", "release", "state")))


def show_flows(found: Sequence[FlowVerdict], facts: Facts) -> None:
    """How many are open and shut as promised, each that is not, and what could not be tried."""
    tried = [one for one in found if one.seen != ABSENT]
    opened = [one for one in tried if one.promised_open]
    shut = [one for one in tried if not one.promised_open]
    show.out(
        f"flows: {sum(one.good for one in opened)} of {len(opened)} open as promised,"
        f" {sum(one.good for one in shut)} of {len(shut)} forbidden connections refused"
    )
    for one in (one for one in tried if not one.good):
        show.out(f"  {one}")
    for host, service in absent_callers(found):
        show.out(f"  {host}: {service} not tried: its container does not run")
    for one in (one for one in tried if not one.proven):
        show.out(f"  {one.host}: {one.source} → {one.target} ({one.address}:{one.port}/udp) was sent; it need not answer")
    entrances = sorted({each for about in facts.values() for each in (about["record"] or {}).get("entrances", [])})
    if entrances:
        word = "entrance" if len(entrances) == 1 else "entrances"
        show.out(f"  not tried, since it takes a machine outside: {len(entrances)} {word}, {', '.join(entrances)}")
    problem = broken(found)
    if problem:
        show.error(problem)


def verdict(services: Sequence[ServiceHealth], flows: Sequence[FlowVerdict]) -> Exit:
    """The exit code of what was seen; health comes first, since an ill service refuses connections too."""
    if not all(one.good for one in services):
        return Exit.UNHEALTHY
    return Exit.DONE if all(one.good for one in flows) else Exit.FLOWS


def as_data(services: Sequence[ServiceHealth], flows: Sequence[FlowVerdict]) -> dict[str, Any]:
    """The same for a script."""
    return {
        "services": [asdict(service) for service in services],
        "flows": [
            {
                "host": f.host, "from": f.source, "to": f.target, "address": f.address, "port": f.port, "protocol": f.protocol,
                "promised": "open" if f.promised_open else "shut", "seen": f.seen, "good": f.good, "why": f.why,
            }
            for f in flows
        ],
    }  # fmt: skip


__all__ = ["as_data", "flows_of", "health", "show_flows", "show_health", "unrecorded", "verdict"]
