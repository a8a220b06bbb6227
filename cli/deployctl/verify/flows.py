"""Is it isolated as promised: every flow tried, and every pair that is no flow, from the container that it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployctl.hosts import call_each
from deployctl.site import Site

OPEN = "open"
TIMEOUT = 2.0
"""Seconds after which a connection counts as shut: a firewall that drops says nothing."""


@dataclass(frozen=True)
class FlowVerdict:
    """One connection that was tried. `seen` is open, refused, timeout, unreachable or no-container."""

    host: str
    source: str
    target: str
    address: str
    port: int
    promised_open: bool
    seen: str
    why: str
    supposed: bool = False

    @property
    def good(self) -> bool:
        """Whether what was seen is what was promised. A refusal keeps the promise of a shut one: nothing got through."""
        if self.seen == "no-container":
            return False
        if self.supposed and self.promised_open:
            return self.seen in (OPEN, "refused")
        return (self.seen == OPEN) == self.promised_open

    def __str__(self) -> str:
        promise = "open" if self.promised_open else "shut"
        return f"{self.host}: {self.source} → {self.target} ({self.address}:{self.port}) is {self.seen}, promised {promise}"


def try_flows(site: Site, project: str, probes: Mapping[str, list[Mapping[str, Any]]]) -> list[FlowVerdict]:
    """Try all probes of all hosts, at once on each; host name -> the record's probes."""
    requests = {
        host: {"project": project, "probes": _asked(items), "timeout": TIMEOUT} for host, items in probes.items() if items
    }
    answers = call_each(site, requests, "probe") if requests else {}
    return [_verdict(host, probe, answers[host]["results"][probe["id"]]) for host, items in probes.items() for probe in items]


def _asked(probes: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"id": p["id"], "from": p["source"], "address": p["address"], "port": p["port"], "protocol": p["protocol"]}
        for p in probes
    ]


def _verdict(host: str, probe: Mapping[str, Any], seen: str) -> FlowVerdict:
    return FlowVerdict(
        host, probe["source"] or host, probe["target"], probe["address"], probe["port"],
        promised_open=probe["open"], seen=seen, why=probe["why"], supposed=probe["supposed"],
    )  # fmt: skip
