"""What of a client's rehearsal is there, asked from Docker by label. No file of ours is needed to find or remove it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from deployctl.rehearsal import docker, naming


@dataclass(frozen=True)
class Standing:
    """A machine as Docker shows it. `state` is Docker's word: running, exited, created …"""

    machine: str
    kind: str
    state: str
    network: str
    address: str
    folder: str
    user: str
    spec: str
    since: str


@dataclass(frozen=True)
class Subnet:
    """A network of the Docker daemon, anybody's."""

    name: str
    cidr: IPv4Network
    client: str


KEYS = ("machine", "kind", "network", "address", "folder", "user", "spec")


def machines(client: str) -> dict[str, Standing]:
    """The client's machines that exist, running or not."""
    labels = "\t".join(f'{{{{.Label "{naming.LABEL}.{key}"}}}}' for key in KEYS)
    template = f"{labels}\t{{{{.State}}}}\t{{{{.Status}}}}"
    rows = docker.lines(["ps", "-a", "--no-trunc", "--filter", f"label={naming.LABEL}={client}", "--format", template])
    return {standing.machine: standing for standing in map(_standing, rows)}


def _standing(row: str) -> Standing:
    machine, kind, network, address, folder, user, spec, state, status = row.split("\t")
    return Standing(machine, kind, state, network, address, folder, user, spec, status)


def subnets() -> list[Subnet]:
    """Every IPv4 subnet that the Docker daemon has given out."""
    names = docker.lines(["network", "ls", "-q"])
    content: list[dict[str, Any]] = json.loads(docker.run(["network", "inspect", *names], check=False).stdout or "[]")
    return [
        Subnet(entry["Name"], IPv4Network(config["Subnet"]), (entry.get("Labels") or {}).get(naming.LABEL, ""))
        for entry in content
        for config in (entry.get("IPAM") or {}).get("Config") or []
        if ":" not in config.get("Subnet", ":")
    ]


def volumes(client: str) -> list[str]:
    """The client's volumes."""
    return docker.lines(["volume", "ls", "-q", "--filter", f"label={naming.LABEL}={client}"])


def networks(client: str) -> list[str]:
    """The client's networks."""
    return docker.lines(["network", "ls", "-q", "--filter", f"label={naming.LABEL}={client}"])
