"""The client's site as containers, from its inventory alone: hosts with systemd, sshd and Docker, a router, no way out."""

from deployctl.rehearsal.docker import DockerFailed, DockerMissing
from deployctl.rehearsal.faults import cut_cable, heal, partition, plug, power_off, power_on
from deployctl.rehearsal.firewall import Count, HostFlow, Seen
from deployctl.rehearsal.found import Standing
from deployctl.rehearsal.inside import exec_in, interactive, put
from deployctl.rehearsal.life import counts, down, remove_images, reset, status, up, update_router
from deployctl.rehearsal.release import flows_of, host_flows, read_flows, read_project
from deployctl.rehearsal.state import MARKER, RehearsalBusy
from deployctl.rehearsal.topology import Machine, Network, RehearsalImpossible, Topology, topology

__all__ = [
    "MARKER",
    "Count",
    "DockerFailed",
    "DockerMissing",
    "HostFlow",
    "Machine",
    "Network",
    "RehearsalBusy",
    "RehearsalImpossible",
    "Seen",
    "Standing",
    "Topology",
    "counts",
    "cut_cable",
    "down",
    "exec_in",
    "flows_of",
    "heal",
    "host_flows",
    "interactive",
    "partition",
    "plug",
    "power_off",
    "power_on",
    "put",
    "read_flows",
    "read_project",
    "remove_images",
    "reset",
    "status",
    "topology",
    "up",
    "update_router",
]
