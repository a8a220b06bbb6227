"""Addresses of containers: one small network per service out of the client's pool, the same on every host.

A service keeps its place in the pool from release to release: it follows from its name, so that adding another
service does not move it (two names that fall on the same place are the exception: the later one moves on).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from deploybundle.errors import InputError

SLOTS = 240
"""Networks of 16 addresses in the first 15/16 of a /20; the rest holds one service address for each."""


@dataclass(frozen=True)
class ServiceNet:
    """The network of one service on a host.

    `container` is where the service listens; `spare` is kept for its next version beside it; `oneshot` for migrations.
    `virtual` is the service address: what callers on the same host connect to. No interface has it.
    """

    bridge: str
    subnet: IPv4Network
    gateway: IPv4Address
    container: IPv4Address
    spare: IPv4Address
    oneshot: IPv4Address
    virtual: IPv4Address


class TooManyServices(InputError):
    """The product has more services than its pool has networks.

    A product takes a /20, which has room for 240 services. Split it into several products.
    """

    code = "too-many-services"


def networks(project: str, services: Iterable[str], pool: IPv4Network) -> dict[str, ServiceNet]:
    """The network of each service of a project, in the first /20 of the pool. Raises TooManyServices."""
    taken: dict[int, str] = {}
    names = sorted(services)
    if len(names) > SLOTS:
        raise TooManyServices(f"{len(names)} services; a product may have {SLOTS}", place=project, hint="split the product")
    for service in names:
        slot = int.from_bytes(hashlib.sha256(f"{project}/{service}".encode()).digest()[:4], "big") % SLOTS
        while slot in taken:
            slot = (slot + 1) % SLOTS
        taken[slot] = service
    return {service: _network(project, service, slot, pool) for slot, service in sorted(taken.items())}


def bridge_prefix(project: str) -> str:
    """What the names of a project's bridges begin with."""
    return f"dc-{hashlib.sha256(project.encode()).hexdigest()[:4]}-"


def _network(project: str, service: str, slot: int, pool: IPv4Network) -> ServiceNet:
    subnet = IPv4Network((int(pool.network_address) + 16 * slot, 28))
    first = subnet.network_address
    return ServiceNet(
        bridge=_bridge(project, service, slot),
        subnet=subnet,
        gateway=first + 1,
        container=first + 2,
        spare=first + 3,
        oneshot=first + 14,
        virtual=pool.network_address + 16 * SLOTS + slot,
    )


def _bridge(project: str, service: str, slot: int) -> str:
    """At most 15 characters (IFNAMSIZ - 1), unlike any other of the project, and telling which service it is.

    A name that is short stays as it is. Any other is cut and filled to 7 characters, the last two its slot in hex.
    """
    clean = service.replace("_", "-")
    return bridge_prefix(project) + (service if clean == service and len(service) < 7 else f"{clean[:5]:-<5}{slot:02x}")
