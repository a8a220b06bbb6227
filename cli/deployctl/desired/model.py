"""What each host shall have, as values. Nothing here reads or writes anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class File:
    """One file of ours on a host. A `link` has a target, a `folder` no content. A secret one shows in no diff or record."""

    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    secret: bool = False
    link: str | None = None
    folder: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 in hex, of the content or of the link's target."""
        return hashlib.sha256(self.link.encode() if self.link is not None else self.content).hexdigest()

    def __repr__(self) -> str:
        return f"File({'***' if self.secret else self.digest[:12]}, {self.mode:o}, {self.uid}:{self.gid})"


@dataclass(frozen=True)
class Probe:
    """One connection to try on a host: from a service's container (or from the host itself, source None).

    `open` says what isolation promises; `why` is the flow it belongs to, or why it must be shut. `supposed` flows were
    derived from a plain Compose file: there the way must be open, but it may be that nothing listens at its end.
    """

    id: str
    source: str | None
    target: str
    address: str
    port: int
    protocol: str
    open: bool
    why: str
    supposed: bool = False


@dataclass(frozen=True)
class ServiceDesired:
    """One service on one host. `hash` changes when its container must be made again."""

    name: str
    ref: str
    tag: str
    config_digest: str
    hash: str
    wave: int
    healthcheck: bool
    names: tuple[str, ...] = ()
    """Whom it can call, as `name:address`: a service that came or went changes the containers of its callers."""


@dataclass(frozen=True)
class Migration:
    """A one-shot of a service's new image, run once for the site, before the service's wave."""

    service: str
    runs_as: str
    host: str
    wave: int


@dataclass(frozen=True)
class HostDesired:
    """Everything of one host. `files` are by absolute path; `network` is the text of our nftables table."""

    name: str
    files: Mapping[str, File]
    services: Mapping[str, ServiceDesired]
    compose: Mapping[str, Any]
    network: str
    ports: Mapping[str, tuple[str, ...]]
    probes: tuple[Probe, ...]
    doors: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Port and protocol of the host, as `8443/tcp` -> the service and its own port."""
    users: Mapping[str, str] = field(default_factory=dict)
    """Services by the number of the user that they run as, where it is a number."""

    @property
    def refs(self) -> list[str]:
        """The images that its services need, each once, in the order of the waves."""
        ordered = sorted(self.services.values(), key=lambda service: (service.wave, service.name))
        return list(dict.fromkeys(service.ref for service in ordered))


@dataclass(frozen=True)
class Desired:
    """The whole site as it shall be."""

    project: str
    version: str
    hosts: Mapping[str, HostDesired]
    waves: int
    migrations: tuple[Migration, ...] = ()
    entrances: tuple[str, ...] = field(default=())
    pool: str = ""
    placed: Mapping[str, str] = field(default_factory=dict)
    """Every host of the product with its address."""
    answers: tuple[str, ...] = ()
    """The names of its settings and services: what client.yml may speak of."""
