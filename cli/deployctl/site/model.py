"""A site as values: the hosts by name, the segments they stand in, and what the client answered."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deployctl.site.client import ClientSettings

INVENTORIES = Path("inventories")
"""Where the clients' folders lie unless somebody says otherwise, below the working folder."""
MANAGEMENT = "management"
"""The segment of the deploy node. No service runs there."""


@dataclass(frozen=True)
class Host:
    """One machine of the inventory. `address` is its IPv4 address in its segment; `variables` are Ansible's for it."""

    name: str
    address: str
    segment: str
    variables: Mapping[str, Any]

    @property
    def local(self) -> bool:
        """Whether deployctl itself runs here."""
        return self.variables.get("ansible_connection") == "local"


@dataclass(frozen=True)
class Site:
    """One client's site: `folder` is the inventory folder, `hosts` are in the inventory's order.

    `client` holds for all products, or for `product` once one was chosen by `of`.
    """

    name: str
    folder: Path
    hosts: Mapping[str, Host]
    client: ClientSettings
    product: str = ""

    def of(self, product: str) -> Site:
        """The site as one product sees it: its own answers go before those for all."""
        return replace(self, client=self.client.of(product), product=product)

    def command(self, verb: str, *words: str) -> str:
        """A deployctl command for this client, whole, to be copied; the inventories are named where they lie elsewhere."""
        where = [] if self.folder.parent == INVENTORIES.absolute() else ["--inventories", str(self.folder.parent)]
        return shlex.join(["deployctl", *verb.split(), "--client", self.name, *where, *words])

    def said_at(self, *keys: str) -> str:
        """Where client.yml says something, or should: `FILE: place.api`, below the product's own key if it stands there."""
        own: Any = self.client.products.get(self.product)
        for key in keys:
            own = own.get(key) if isinstance(own, dict) else getattr(own, key, None)
        path = [*(["products", self.product] if own else []), *keys]
        return f"{self.folder / 'group_vars' / 'all' / 'client.yml'}: {'.'.join(path)}"

    @property
    def segments(self) -> dict[str, list[Host]]:
        """The hosts of each segment, management included."""
        found: dict[str, list[Host]] = {}
        for host in self.hosts.values():
            found.setdefault(host.segment, []).append(host)
        return found

    @property
    def targets(self) -> list[Host]:
        """The hosts that services run on."""
        return [host for host in self.hosts.values() if host.segment != MANAGEMENT]

    @property
    def deploy_node(self) -> Host | None:
        """The host that deployctl runs on, if the inventory names it."""
        return next((host for host in self.hosts.values() if host.segment == MANAGEMENT), None)

    def segment_cidr(self, segment: str) -> str:
        """The segment's network: as client.yml says, else the /24 around its first host."""
        said = self.client.segments.get(segment)
        if said is not None:
            return str(said.cidr)
        return str(ipaddress.ip_network(f"{self.segments[segment][0].address}/24", strict=False))

    @property
    def known_hosts(self) -> Path:
        """The pinned host keys of this client."""
        return self.folder / "known_hosts"

    @property
    def state(self) -> Path:
        """The folder of what we generate for this client (journal, logs). Never carried, never committed."""
        return self.folder / ".site"
