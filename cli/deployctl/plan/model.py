"""A plan as values: what would change on each host, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Encoding = Literal["raw", "zstd"]
EDITED = "its files were changed by hand"
PAUSED = "is paused"
"""Reasons to stop a service first: Compose sees no change, yet the container holds what is not wanted, or says nothing."""
CUT_OFF = "its network was removed"
"""A reason to remove a container first: Compose would start it again, and Docker refuses."""


@dataclass(frozen=True)
class Leave:
    """What goes from a host that shall have nothing of a product any more, and what stays.

    `files` are those that we wrote, `strangers` what else lies in the product's folder, `shared` what all products use,
    if this one is the last. `volumes` stay, `delete` are those of them that a person named.
    """

    version: str
    services: tuple[str, ...]
    networks: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[str, ...]
    strangers: tuple[str, ...]
    shared: tuple[str, ...]
    last: bool
    volumes: tuple[str, ...]
    delete: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """What we installed of the distribution; others may use it by now, so it stays, and is named with the last product."""


@dataclass(frozen=True)
class ImageStep:
    """One image that a host lacks: `missing` are the numbers of the layers to send; `size` is exact, in bytes on the wire."""

    ref: str
    tag: str
    config: str
    missing: tuple[int, ...]
    size: int
    unpacked: int


@dataclass(frozen=True)
class PackagesStep:
    """What a host lacks of its system: `names` are asked for, `files` sent; `size` is exact, in bytes on the wire.

    `unpacked`: bytes on the host's disk, the packages themselves too. `engine`: the version that it will have, or empty.
    """

    target: str
    names: tuple[str, ...]
    files: tuple[str, ...]
    size: int
    unpacked: int
    engine: str


@dataclass(frozen=True)
class HostPlan:
    """The steps of one host. `services` says for each service to start in which wave and why."""

    name: str
    encoding: Encoding
    images: tuple[ImageStep, ...]
    write: tuple[str, ...]
    remove: tuple[str, ...]
    network: bool
    services: Mapping[str, str]
    waves: Mapping[int, tuple[str, ...]]
    stop: tuple[str, ...]
    migrate: tuple[tuple[int, str], ...]
    first: bool
    record: Mapping[str, Any]
    recorded: bool
    packages: PackagesStep | None = None
    volumes: tuple[str, ...] = ()
    """Data that lie here already, before a first install."""
    leave: Leave | None = None

    @property
    def size(self) -> int:
        """Bytes of packages and images to send."""
        return sum(step.size for step in self.images) + (self.packages.size if self.packages else 0)

    @property
    def restart(self) -> tuple[str, ...]:
        """The services to stop before they are started."""
        return tuple(sorted(name for name, reason in self.services.items() if reason in (EDITED, PAUSED)))

    @property
    def anew(self) -> tuple[str, ...]:
        """The services whose containers are removed before they are started."""
        return tuple(sorted(name for name, reason in self.services.items() if reason == CUT_OFF))

    @property
    def changes(self) -> bool:
        """Whether anything at all is to be done."""
        steps = (self.packages, self.images, self.write, self.remove, self.network, self.services, self.stop, self.migrate)
        return any(steps) or not self.recorded or self.leave is not None


@dataclass(frozen=True)
class Plan:
    """The whole site's steps."""

    client: str
    project: str
    version: str
    bundle: str
    waves: int
    hosts: Mapping[str, HostPlan]
    installed: tuple[str, ...] = ()
    """The versions that the hosts have now."""

    @property
    def leaving(self) -> dict[str, Leave]:
        """The hosts that shall have nothing of the product any more."""
        return {name: host.leave for name, host in self.hosts.items() if host.leave is not None}

    @property
    def changed(self) -> dict[str, HostPlan]:
        """The hosts on which something is to be done."""
        return {name: host for name, host in self.hosts.items() if host.changes}

    @property
    def size(self) -> int:
        """Bytes of packages and images to send, all hosts together."""
        return sum(host.size for host in self.hosts.values())
