"""Is it isolated as promised: every flow tried, and every pair that is no flow, from the container that it comes from."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploybundle.errors import FlowError
from deployctl.hosts import call_each
from deployctl.site import Site

OPEN = "open"
SILENT = "timeout"
ABSENT = "no-container"
TIMEOUT = 2.0
"""Seconds after which a connection counts as shut: a firewall that drops says nothing."""
WATCH = 60
"""Seconds after which a watch ends by itself, should nobody end it."""
Probes = Mapping[str, Sequence[Mapping[str, Any]]]


class FlowsBroken(FlowError):
    """A connection is open that must be shut, or a flow does not get through.

    A flow that times out is mostly a firewall between segments: `deployctl flows` writes what it must permit. A refused one
    is a service that does not listen yet, or a table that is not loaded. A connection that is open and must not be: install
    again, which loads the table; if it stays, keep the output and tell the vendor.
    """

    code = "flows-broken"


@dataclass(frozen=True)
class FlowVerdict:
    """One connection that was tried. `seen` is open, refused, timeout, unreachable or no-container.

    `proven` is false for UDP to a machine of others that says nothing: it may have arrived.
    """

    host: str
    source: str
    target: str
    address: str
    port: int
    promised_open: bool
    seen: str
    why: str
    supposed: bool = False
    protocol: str = "tcp"
    proven: bool = True

    @property
    def good(self) -> bool:
        """Whether what was seen is what was promised. A refusal keeps the promise of a shut one: nothing got through."""
        if self.seen == ABSENT:
            return False
        if self.supposed and self.promised_open:
            return self.seen in (OPEN, "refused")
        return not self.proven or (self.seen == OPEN) == self.promised_open

    def __str__(self) -> str:
        promise = "open" if self.promised_open else "shut"
        where = f"[{self.address}]" if ":" in self.address else self.address
        name = f"{where}:{self.port}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")
        return f"{self.host}: {self.source} → {self.target} ({name}) is {self.seen}, promised {promise}"


def try_flows(site: Site, project: str, probes: Probes) -> list[FlowVerdict]:
    """Try all probes of all hosts, at once on each; host name -> the record's probes.

    UDP is watched for at its end, in the containers and on the hosts. IPv6 is tried to each address that a host has.
    """
    asked = {host: list(items) for host, items in probes.items() if items}
    if not asked:
        return []
    token = secrets.token_hex(8)
    watching = {
        host: {"project": project, "token": token, "seconds": WATCH, "listen": _ports(host, asked, site)} for host in asked
    }
    addresses = {host: answer["addresses"] for host, answer in call_each(site, watching, "watch").items()}
    try:
        for host, items in asked.items():
            items += _over_ipv6(host, items, addresses, site)
        requests = {host: _request(project, host, token, items) for host, items in asked.items()}
        seen = {host: answer["results"] for host, answer in call_each(site, requests, "probe").items()}
    finally:
        heard = {str(probe) for answer in call_each(site, watching, "watched").values() for _, probe in answer["heard"]}
    return [
        _verdict(host, probe, seen[host][_id(host, probe)], heard, site) for host, items in asked.items() for probe in items
    ]


def _ports(host: str, probes: Probes, site: Site) -> list[tuple[str, int]]:
    """The UDP ports of a host that somebody is to try: what arrives there is told by who listens."""
    own = site.hosts[host].address
    found = {int(p["port"]) for items in probes.values() for p in items if p["protocol"] == "udp" and p["address"] == own}
    return [("udp", port) for port in sorted(found)]


def _over_ipv6(
    host: str, items: Sequence[Mapping[str, Any]], addresses: Mapping[str, list[str]], site: Site
) -> list[dict[str, Any]]:
    """The same pairs by the IPv6 addresses of the hosts that they lead to: no flow is permitted there.

    A host's own datagrams are left out: whom they reach is our own watch, which listens at that port.
    """
    names = {site.hosts[name].address: name for name in addresses}
    return [
        {**probe, "address": address, "open": False, "supposed": False, "why": "no flow is over IPv6",
         "id": f"{probe['source'] or 'host'}>[{address}]:{probe['port']}/{probe['protocol']}"}
        for probe in items
        if probe["address"] in names and not (probe["source"] is None and probe["protocol"] == "udp")
        for address in addresses[names[probe["address"]]]
    ]  # fmt: skip


def _id(host: str, probe: Mapping[str, Any]) -> str:
    return f"{host}|{probe['id']}"


def _request(project: str, host: str, token: str, probes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    items = [
        {
            "id": _id(host, p), "from": p["source"], "address": p["address"], "port": p["port"], "protocol": p["protocol"],
            "shut": not p["open"],
        }
        for p in probes
    ]  # fmt: skip
    return {"project": project, "token": token, "probes": items, "timeout": TIMEOUT}


def _verdict(host: str, probe: Mapping[str, Any], seen: str, heard: set[str], site: Site) -> FlowVerdict:
    if _id(host, probe) in heard:
        seen = OPEN
    unknown = probe["protocol"] == "udp" and probe["open"] and seen == SILENT and not _ours(probe, site)
    return FlowVerdict(
        host, probe["source"] or "the host itself", probe["target"], probe["address"], probe["port"],
        promised_open=probe["open"], seen=seen, why=probe["why"], supposed=probe["supposed"],
        protocol=probe["protocol"], proven=not unknown,
    )  # fmt: skip


def _ours(probe: Mapping[str, Any], site: Site) -> bool:
    return probe["target"] not in site.client.externals


def broken(found: Sequence[FlowVerdict]) -> FlowsBroken | None:
    """What is not as promised, as one error with the way out; None if all is well."""
    bad = [one for one in found if not one.good and one.seen != ABSENT]
    absent = absent_callers(found)
    if not bad and not absent:
        return None
    words = [f"{len(bad)} of {len(found)} connections are not as promised"] if bad else []
    words += [f"{len(absent)} services could not be tried, their containers do not run"] if absent else []
    return FlowsBroken("; ".join(words), place=site_of(found), hint="\n".join(_ways_out(bad, absent)))


def site_of(found: Sequence[FlowVerdict]) -> str:
    """The hosts with something wrong."""
    return ", ".join(dict.fromkeys(one.host for one in found if not one.good))


def absent_callers(found: Sequence[FlowVerdict]) -> list[tuple[str, str]]:
    """(host, service) of each that could not call, since it does not run."""
    return list(dict.fromkeys((one.host, one.source) for one in found if one.seen == ABSENT))


def _ways_out(bad: Sequence[FlowVerdict], absent: Sequence[tuple[str, str]]) -> Iterator[str]:
    shut = [one for one in bad if one.promised_open]
    if any(one.seen in (SILENT, "unreachable") for one in shut):
        yield "a firewall between segments stops them: `deployctl flows --client … --csv FILE` writes what it must permit"
    if any(one.seen == "refused" for one in shut):
        yield "nothing listens there, or the host refuses: look at the target with `deployctl status`"
    if len(shut) < len(bad):
        yield "what is open and must not be: `deployctl install` loads the table again"
    if absent:
        yield "start what does not run: `deployctl install`, or `docker compose up -d` on the host"
