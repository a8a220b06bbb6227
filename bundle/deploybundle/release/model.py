"""What a release is, past the edge: nobody checks it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .schema import Protocol, SecretSpec, ServiceSpec

ANY = "any"
"""The reserved network name that stands for every address."""


@dataclass(frozen=True, order=True)
class Port:
    """A container's port."""

    port: int
    protocol: Protocol = "tcp"

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}" if self.protocol == "udp" else str(self.port)


@dataclass(frozen=True, order=True)
class Flow:
    """One permitted connection. `source` and `target` are services, or names that client.yml answers."""

    source: str
    target: str
    port: int
    protocol: Protocol = "tcp"


@dataclass(frozen=True)
class Service:
    """A service: its image, what deployctl is told of it, and its part of Compose's normalised model.

    `ports` are those it is known to listen on; `published` maps container ports to fixed host ports; `volumes` says
    that named volumes hold its state. In `compose` and `spec` a dollar sign is doubled, as Compose writes it.
    """

    name: str
    image: str
    spec: ServiceSpec
    ports: tuple[Port, ...]
    published: Mapping[Port, int]
    user: str | None
    secrets: tuple[str, ...]
    volumes: bool
    compose: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Release:
    """One version of a product. `settings` maps each variable of the Compose files to its default, None where none."""

    name: str
    version: str
    targets: tuple[str, ...]
    config_dir: str | None
    flows: tuple[Flow, ...]
    secrets: Mapping[str, SecretSpec]
    services: Mapping[str, Service]
    settings: Mapping[str, str | None]
    compose: Mapping[str, Any] = field(repr=False)
    plain: bool
    compose_files: tuple[str, ...] = ("compose.yaml",)
