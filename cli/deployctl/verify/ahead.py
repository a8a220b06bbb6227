"""Do the client's firewalls let the flows through, tried before anything is installed: nothing of the product need run.

The target host listens on the service's port for a moment, where nothing listens yet; the calling host connects.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploybundle.errors import FlowError
from deployctl.desired.flows import Leaving, SiteFlows
from deployctl.hosts import call_each
from deployctl.site import Site
from deployctl.verify.flows import OPEN, SILENT, TIMEOUT

SECONDS = 30
"""How long a host listens at most, should nobody tell it to stop."""
WORDS = {SILENT: "timed out", "unreachable": "is unreachable"}


class FlowsBlocked(FlowError):
    """A firewall of the site does not let a flow through that the product needs.

    Each line says from which host to which, refused or timed out. `deployctl preflight --flows --csv FILE` writes the rows
    to mail to the client's network team. If no firewall should be in between, look at the hosts' own rules and routes.
    """

    code = "flows-blocked"


@dataclass(frozen=True)
class Tried:
    """One connection from a host to another, or to a machine outside; `why` names the flows that need it."""

    host: str
    to: str
    address: str
    protocol: str
    port: int
    why: str
    seen: str
    ours: bool

    @property
    def good(self) -> bool:
        """Whether it got through. UDP to a machine of others need not be answered, so that silence says nothing."""
        return self.seen == OPEN or (self.protocol == "udp" and not self.ours and self.seen == SILENT)

    def __str__(self) -> str:
        name = f"{self.host} → {self.to} ({self.address}:{self.port}/{self.protocol}), for {self.why}:"
        return f"{name} {WORDS.get(self.seen, self.seen)}"


def try_ahead(site: Site, project: str, flows: SiteFlows) -> list[Tried]:
    """Try every flow that leaves a host, from the host itself."""
    wanted = _wanted(flows)
    if not wanted:
        return []
    token = secrets.token_hex(8)
    watching = _watching(wanted, project, token, site)
    call_each(site, watching, "watch")
    try:
        requests = {host: _request(project, token, pairs) for host, pairs in _by_host(wanted).items()}
        seen = {host: answer["results"] for host, answer in call_each(site, requests, "probe").items()}
    finally:
        heard = {str(probe) for answer in call_each(site, watching, "watched").values() for _, probe in answer["heard"]}
    return [_tried(pair, why, seen, heard, site) for pair, why in wanted.items()]


Pair = tuple[str, str, str, str, int]
"""Host, the other's name and address, protocol, port."""


def _wanted(flows: SiteFlows) -> dict[Pair, str]:
    found: dict[Pair, list[str]] = {}
    for flow in flows.leaving:
        pair = (flow.host, flow.to, flow.address, str(flow.port.protocol), flow.port.port)
        found.setdefault(pair, []).append(_purpose(flow))
    return {pair: ", ".join(dict.fromkeys(whys)) for pair, whys in found.items()}


def _purpose(flow: Leaving) -> str:
    return f"{flow.source} → {flow.target}"


def _watching(wanted: Mapping[Pair, str], project: str, token: str, site: Site) -> dict[str, dict[str, Any]]:
    listens: dict[str, set[tuple[str, int]]] = {host: set() for host, *_ in wanted}
    for _, to, _, protocol, port in wanted:
        if to in site.hosts:
            listens.setdefault(to, set()).add((protocol, port))
    return {
        host: {"project": project, "token": token, "seconds": SECONDS, "listen": sorted(ports)}
        for host, ports in listens.items()
    }


def _by_host(wanted: Mapping[Pair, str]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in wanted:
        found.setdefault(pair[0], []).append(pair)
    return found


def _id(pair: Pair) -> str:
    host, _, address, protocol, port = pair
    return f"{host}|{address}:{port}/{protocol}"


def _request(project: str, token: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """`pass` marks what is sent as tried by us, which a table of ours that is there already lets out."""
    probes = [
        {"id": _id(pair), "from": None, "address": pair[2], "port": pair[4], "protocol": pair[3], "pass": True}
        for pair in pairs
    ]
    return {"project": project, "token": token, "probes": probes, "timeout": TIMEOUT}


def _tried(pair: Pair, why: str, seen: Mapping[str, Mapping[str, str]], heard: set[str], site: Site) -> Tried:
    host, to, address, protocol, port = pair
    found = OPEN if _id(pair) in heard else seen[host][_id(pair)]
    return Tried(host, to, address, protocol, port, why, found, to in site.hosts)


def blocked(tried: Sequence[Tried]) -> FlowsBlocked | None:
    """What does not get through, as one error; None if all does."""
    bad = [FlowsBlocked(str(one)) for one in tried if not one.good]
    if not bad:
        return None
    hint = "mail the rows to the client's network team: deployctl preflight --flows --csv FILE"
    return FlowsBlocked(f"{len(bad)} of {len(tried)} flows do not get through", hint=hint, problems=bad)
