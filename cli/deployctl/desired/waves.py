"""The order of starting: who is called starts before who calls."""

from __future__ import annotations

from collections.abc import Mapping

from deploybundle.release import Release


def waves(release: Release) -> dict[str, int]:
    """Each service's wave, from 0. A wave must be healthy on all hosts before the next one starts.

    Services that call each other in a circle share a wave.
    """
    needs = _needs(release)
    reached = {service: _reached(service, needs) for service in needs}
    depths: dict[str, int] = {}
    for service in sorted(needs, key=lambda name: len(reached[name] | {name})):  # who is below reaches fewer
        below = [depths[other] for other in reached[service] if service not in reached[other]]
        depths[service] = 1 + max(below, default=-1)
    return depths


def _needs(release: Release) -> dict[str, set[str]]:
    needs: dict[str, set[str]] = {service: set() for service in release.services}
    for flow in release.flows:
        if flow.source in needs and flow.target in needs and flow.source != flow.target:
            needs[flow.source].add(flow.target)
    for name, service in release.services.items():
        needs[name] |= {other for other in service.compose.get("depends_on") or {} if other in needs}
    return needs


def _reached(service: str, needs: Mapping[str, set[str]]) -> set[str]:
    """All that a service calls, itself or through others; itself too where it stands in a circle."""
    found: set[str] = set()
    waiting = list(needs[service])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting += needs[other]
    return found
