"""What things are called. All of it can be found again by client, on a Docker daemon that others use too."""

from __future__ import annotations

import hashlib

LABEL = "dev.deployctl.rehearsal"
ROUTER = "router"
BRIDGE_LIMIT = 15
"""Linux takes no longer name for an interface (IFNAMSIZ is 16 with the final zero)."""


def container(client: str, machine: str) -> str:
    """The container of a machine."""
    return f"rh-{client}-{machine}"


def volume(client: str, machine: str, what: str) -> str:
    """A machine's volume, such as the one of its Docker."""
    return f"rh-{client}-{machine}-{what}"


def network(client: str, name: str) -> str:
    """The Docker network of one of the site's networks."""
    return f"rh-{client}-{name}"


def bridge_prefix(client: str) -> str:
    """What all bridges of this client's rehearsal begin with, and no others: the guard matches on it."""
    return f"rh{_short(client)}-"


def bridge(client: str, number: int, name: str) -> str:
    """The bridge of the client's network number `number`; unique by that number, readable by the rest."""
    return f"{bridge_prefix(client)}{number}{name}"[:BRIDGE_LIMIT]


def guard_table(client: str) -> str:
    """The nftables table on the machine itself that keeps this site in."""
    return f"rehearsal_{_short(client)}"


def _short(client: str) -> str:
    return hashlib.sha256(client.encode()).hexdigest()[:5]
