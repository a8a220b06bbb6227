"""The order of starting: who is called starts before who calls."""

from __future__ import annotations

from collections.abc import Mapping

from deploybundle.release import Release


def waves(release: Release) -> dict[str, int]:
    """Each service's wave, from 0. A wave must be healthy on all hosts before the next one starts.

    Services that call each other in a circle share a wave.
    """
    needs = _needs(release)
    return {service: _depth(service, needs, frozenset()) for service in release.services}


def _needs(release: Release) -> dict[str, set[str]]:
    needs: dict[str, set[str]] = {service: set() for service in release.services}
    for flow in release.flows:
        if flow.source in needs and flow.target in needs and flow.source != flow.target:
            needs[flow.source].add(flow.target)
    for name, service in release.services.items():
        needs[name] |= {other for other in service.compose.get("depends_on") or {} if other in needs}
    return needs


def _depth(service: str, needs: Mapping[str, set[str]], above: frozenset[str]) -> int:
    """The longest way down from a service; a way that comes back to where it was ends there."""
    below = [_depth(other, needs, above | {service}) for other in needs[service] if other not in above]
    return 1 + max(below) if below else 0
