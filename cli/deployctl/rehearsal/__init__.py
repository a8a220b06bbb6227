"""The client's site as containers, from its inventory alone: hosts with systemd, sshd and Docker, a router, no way out."""

from deployctl.rehearsal.docker import DockerFailed, DockerMissing
from deployctl.rehearsal.faults import Fault, cut_cable, heal, partition, plug, power_off, power_on
from deployctl.rehearsal.firewall import Count, HostFlow
from deployctl.rehearsal.inside import exec_in, interactive, put
from deployctl.rehearsal.life import counts, down, remove_images, reset, status, up, update_router
from deployctl.rehearsal.topology import Machine, Network, RehearsalImpossible, Topology, topology

__all__ = [
    "Count",
    "DockerFailed",
    "DockerMissing",
    "Fault",
    "HostFlow",
    "Machine",
    "Network",
    "RehearsalImpossible",
    "Topology",
    "counts",
    "cut_cable",
    "down",
    "exec_in",
    "heal",
    "interactive",
    "partition",
    "plug",
    "power_off",
    "power_on",
    "put",
    "remove_images",
    "reset",
    "status",
    "topology",
    "up",
    "update_router",
]
