"""How each machine is made: docker argument lists. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deployctl.rehearsal import naming
from deployctl.rehearsal.images import image_of
from deployctl.rehearsal.topology import Machine, Network, Topology

VM = (
    # What systemd and a nested Docker need. SYS_TIME, SYS_MODULE and SYS_RAWIO would reach the real machine.
    "--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE",
    "--cap-drop", "SYS_TIME", "--cap-drop", "SYS_MODULE", "--cap-drop", "SYS_RAWIO",
    "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
    "--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec",  # noqa: S108
)  # fmt: skip
NET = ("--init", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--cap-add", "NET_BIND_SERVICE")
DISKS = ("docker", "containerd")
"""The volumes of a host: a layered filesystem cannot hold Docker's own layers."""


@dataclass(frozen=True)
class Making:
    """What a machine is made from, besides the topology. `disks`: a host's name -> the size of its small disk."""

    images: dict[str, str]
    medium: Path
    memory: str = "2g"
    disks: tuple[tuple[str, str], ...] = ()


def network_argv(topology: Topology, network: Network) -> list[str]:
    """The network, whose bridge has no address of the real machine: only the router leads out of it."""
    options = {"inhibit_ipv4": "true", "enable_ip_masquerade": "false", "name": network.bridge}
    return [
        "network", "create", "--label", f"{naming.LABEL}={topology.client}",
        "--subnet", str(network.cidr), "--gateway", str(network.gateway),
        *(word for key, value in options.items() for word in ("-o", f"com.docker.network.bridge.{key}={value}")),
        naming.network(topology.client, network.name),
    ]  # fmt: skip


def router_argv(topology: Topology, making: Making) -> list[str]:
    """The router, not yet started, with its first leg."""
    return ["create", "--label", f"{naming.LABEL}.spec={router_spec(topology, making)}", *_router(topology, making)]


def _router(topology: Topology, making: Making) -> list[str]:
    first = topology.networks[0]
    return [
        *_common(topology, naming.ROUTER, naming.ROUTER, "", ""),
        *NET, "--sysctl", "net.ipv4.ip_forward=1", "--device", "/dev/net/tun",
        "--network", naming.network(topology.client, first.name), "--ip", str(first.leg),
        "-v", f"{topology.state}/router:/rehearsal:ro", making.images["net"], "/usr/local/sbin/router",
    ]  # fmt: skip


def leg_argv(topology: Topology, network: Network) -> list[str]:
    """One more leg of the router; to be plugged in before its start."""
    name = naming.network(topology.client, network.name)
    return ["network", "connect", "--ip", str(network.leg), name, naming.container(topology.client, naming.ROUTER)]


def machine_argv(topology: Topology, machine: Machine, making: Making) -> list[str]:
    """`docker run` of any machine but the router."""
    body = _body(topology, machine, making)
    return ["run", "-d", "--label", f"{naming.LABEL}.spec={machine_spec(topology, machine, making)}", *body]


def machine_spec(topology: Topology, machine: Machine, making: Making) -> str:
    """The `spec` of a machine; a small disk is a passing fault and no part of it."""
    return spec(_body(topology, machine, replace(making, disks=())))


def router_spec(topology: Topology, making: Making) -> str:
    """The `spec` of the router, with all its legs."""
    return spec([*_router(topology, making), *(word for network in topology.networks for word in leg_argv(topology, network))])


def spec(argv: Sequence[str]) -> str:
    """A digest of how a machine is made, kept as its label: when it differs, the machine is made again."""
    return hashlib.sha256("\0".join(argv).encode()).hexdigest()[:16]


def disk_argv(topology: Topology, machine: Machine, what: str, size: str | None) -> list[str]:
    """A volume of a host; with a size it is a disk that can fill up (in memory: a power cut empties it)."""
    small = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", f"o=size={size}"] if size else []
    label = ["--label", f"{naming.LABEL}={topology.client}"]
    return ["volume", "create", *label, *small, naming.volume(topology.client, machine.name, what)]


def volumes(client: str, machine: str) -> list[str]:
    """The names of a host's volumes."""
    return [naming.volume(client, machine, what) for what in DISKS]


def _body(topology: Topology, machine: Machine, making: Making) -> list[str]:
    place = ["--network", naming.network(topology.client, machine.network), "--ip", str(machine.address)]
    common = _common(topology, machine.name, machine.kind, machine.network, str(machine.address))
    user = ["--label", f"{naming.LABEL}.user={machine.user}"]
    return [*common, *user, *place, *_kind(topology, machine, making)]


def _kind(topology: Topology, machine: Machine, making: Making) -> list[str]:
    image = making.images[image_of(machine.kind, machine.system, docker=machine.docker)]
    given = ["-v", f"{topology.state}/machines/{machine.name}:/rehearsal:ro"]
    if machine.kind == "host":
        disks = [f"{naming.volume(topology.client, machine.name, what)}:/var/lib/{what}" for what in DISKS]
        size = dict(making.disks).get(machine.name)
        small = ["--label", f"{naming.LABEL}.disk={size}"] if size else []
        mounts = [word for disk in disks for word in ("-v", disk)]
        return [*VM, "--memory", making.memory, *small, *given, *mounts, image]
    if machine.kind == "deploy":
        medium = ["-v", f"{making.medium}:/media/usb:ro"]
        return [*VM, "--memory", making.memory, *given, *medium, *_hosts(topology), image]
    return [*NET, image, "/usr/local/sbin/outside", *(["answer"] if machine.kind == "external" else [])]


def _hosts(topology: Topology) -> list[str]:
    """Names of the hosts for the deploy node, as an administrator would have them there."""
    hosts = [machine for machine in topology.machines if machine.kind == "host"]
    return [word for host in hosts for word in ("--add-host", f"{host.name}:{host.address}")]


def _common(topology: Topology, name: str, kind: str, network: str, address: str) -> list[str]:
    labels = {"": topology.client, ".machine": name, ".kind": kind, ".network": network, ".address": address}
    labels[".folder"] = str(topology.folder)
    said = [word for key, value in labels.items() for word in ("--label", f"{naming.LABEL}{key}={value}")]
    return ["--name", naming.container(topology.client, name), "--hostname", name, "--restart", "unless-stopped", *said]
