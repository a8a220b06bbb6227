"""Up, reset, down. Each ends in the same state whatever was there before; a half-made site is simply continued."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from deployctl.rehearsal import docker, firewall, found, guard, images, machines, naming, state
from deployctl.rehearsal.firewall import Count, HostFlow
from deployctl.rehearsal.found import Standing
from deployctl.rehearsal.inside import exec_in, put, wait_ready
from deployctl.rehearsal.limits import enough_instances
from deployctl.rehearsal.machines import Making
from deployctl.rehearsal.topology import Machine, RehearsalImpossible, Topology, topology
from deployctl.site import Site

Say = Callable[[str], None]
NOT_CARRIED = (".site", ".git", ".ansible")


def _quiet(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class _Work:
    """One command's work on one site."""

    topology: Topology
    making: Making
    say: Say

    @property
    def client(self) -> str:
        return self.topology.client


def up(site: Site, flows: Sequence[HostFlow] | None = None, *, medium: Path | None = None, say: Say = _quiet) -> Topology:
    """Bring the client's site up, or what is missing of it.

    `flows` are what the router permits besides SSH from the deploy node; None keeps what it permitted before.
    `medium` is the folder that the deploy node sees, read-only, at /media/usb; None keeps the last one.
    Raises RehearsalImpossible for an inventory that cannot be rebuilt here, DockerMissing, DockerFailed, RehearsalBusy.
    """
    docker.must_answer()
    plan = topology(site)
    with state.changing(plan.state):
        work = _work(plan, medium, say)
        _may_use_this_machine(plan)
        state.write(plan)
        _remember_flows(plan, flows)
        _raise(work)
    return plan


def reset(
    site: Site, names: Iterable[str] | None = None, *, deploy_node: bool = True, new_host_keys: bool = False,
    disks: Mapping[str, str] | None = None, say: Say = _quiet,
) -> Topology:  # fmt: skip
    """Give back a clean site: hosts as they were set up, with the same host keys; networks, router and its counters stay.

    `names` limits it to some machines; without `deploy_node`, that one keeps what is installed. `disks` gives hosts a small
    disk below /var/lib/docker (`{"app1": "300m"}`), to be filled. What was not up comes up.
    """
    docker.must_answer()
    plan = topology(site)
    with state.changing(plan.state):
        work = _work(plan, None, say, tuple(sorted((disks or {}).items())))
        _may_use_this_machine(plan)
        chosen = _chosen(plan, names, deploy_node)
        if new_host_keys:
            state.forget_host_keys(plan, chosen)
        state.write(plan)
        _remember_flows(plan, None)
        _discard(plan.client, chosen)
        _raise(work)
    return plan


def down(client: str, folder: Path, *, say: Say = _quiet) -> bool:
    """Remove every container, volume, network, rule and file of the client's rehearsal; whether there was anything."""
    docker.must_answer()
    there = found.machines(client)
    folders = {Path(standing.folder) for standing in there.values()} | {folder.resolve()}
    if there:
        docker.run(["rm", "-f", "-v", *(naming.container(client, name) for name in there)])
        say(f"removed {len(there)} machines")
    volumes, networks = found.volumes(client), found.networks(client)
    if volumes:
        docker.run(["volume", "rm", "-f", *volumes])
    if networks:
        docker.run(["network", "rm", *networks])
    guard.remove(client)
    for known in folders:
        state.remove(known / ".site" / "rehearsal")
    return bool(there or volumes or networks)


def remove_images() -> list[str]:
    """Remove the rehearsal's images that no rehearsal uses; returns their tags."""
    return images.remove()


def status(client: str) -> list[Standing]:
    """The client's machines, the router first, then by name; empty when the rehearsal is down."""
    docker.must_answer()
    return sorted(found.machines(client).values(), key=lambda one: (one.kind != naming.ROUTER, one.machine))


def update_router(site: Site, flows: Sequence[HostFlow]) -> None:
    """Let the router permit these flows, besides SSH from the deploy node; connections that stand and counters stay."""
    plan = topology(site)
    _remember_flows(plan, flows)
    exec_in(plan.client, naming.ROUTER, ["nft", "-f", "/rehearsal/rules.nft"], check=True)


def counts(client: str) -> Count:
    """What the router stopped since it was made."""
    said = exec_in(client, naming.ROUTER, ["nft", "--json", "--numeric", "list", "table", "inet", firewall.TABLE], check=True)
    return firewall.read_counts(said.stdout)


def _work(plan: Topology, medium: Path | None, say: Say, disks: tuple[tuple[str, str], ...] = ()) -> _Work:
    wanted = {images.image_of(machine.kind, machine.system, docker=machine.docker) for machine in plan.machines}
    return _Work(plan, Making(images.ensure({"net", *wanted}, say), state.medium(plan.state, medium), disks=disks), say)


def _may_use_this_machine(plan: Topology) -> None:
    """Raise RehearsalImpossible where another folder's rehearsal has the name, or anybody's network the addresses."""
    enough_instances(plan)
    for standing in found.machines(plan.client).values():
        if standing.folder != str(plan.folder):
            raise RehearsalImpossible(
                f'a rehearsal of "{plan.client}" from another folder is up: {standing.folder}',
                place=str(plan.folder), hint=f"take it down there: deployctl rehearse down --client {plan.client}",
            )  # fmt: skip
    problems = [problem for subnet in found.subnets() if (problem := _clash(plan, subnet))]
    if problems:
        hint = f"remove that network, or: deployctl rehearse down --client {plan.client}"
        raise RehearsalImpossible("\n".join(problems), place=str(plan.folder), hint=hint)


def _clash(plan: Topology, subnet: found.Subnet) -> str | None:
    """What is wrong with a Docker network that has addresses of ours and is not the one that we would make."""
    for network in plan.networks:
        mine = subnet.name == naming.network(plan.client, network.name) and subnet.client == plan.client
        if mine and subnet.cidr != network.cidr:
            return f'network "{network.name}" is {network.cidr} now, and was {subnet.cidr} when the rehearsal came up'
        if not mine and subnet.cidr.overlaps(network.cidr):
            return f'network "{network.name}" needs {network.cidr}; the Docker network "{subnet.name}" has {subnet.cidr}'
    return None


def _remember_flows(plan: Topology, flows: Sequence[HostFlow] | None) -> None:
    """Write the router's rules, from these flows or the remembered ones."""
    path = plan.state / "flows.json"
    if flows is not None:
        path.write_text(json.dumps([asdict(flow) for flow in flows]))
    elif path.exists():
        flows = [HostFlow(**{**flow, "source_cidrs": tuple(flow["source_cidrs"]), "target_cidrs": tuple(flow["target_cidrs"])})
                 for flow in json.loads(path.read_text())]  # fmt: skip
    every = [*plan.basic_flows, *(flows or [])]
    state.write_rules(plan.state, firewall.router_rules((network.cidr for network in plan.networks), every))


def _chosen(plan: Topology, names: Iterable[str] | None, deploy_node: bool) -> list[str]:
    kinds = ("host", "deploy") if deploy_node else ("host",)
    return list(names) if names is not None else [machine.name for machine in plan.machines if machine.kind in kinds]


def _discard(client: str, names: list[str]) -> None:
    """Throw machines away with their volumes; what is not there is fine."""
    docker.run(["rm", "-f", "-v", *(naming.container(client, name) for name in names)], check=False)
    docker.run(["volume", "rm", "-f", *(volume for name in names for volume in machines.volumes(client, name))], check=False)


def _raise(work: _Work) -> None:
    """Make and start what is missing or made differently; the rest is left alone."""
    there = found.machines(work.client)
    with ThreadPoolExecutor(2) as pool:
        around = [pool.submit(guard.set_up, work.client, work.making.images["net"]), pool.submit(_networks, work)]
        for future in around:
            future.result()
    _strangers(work, there)
    jobs: list[Callable[[], None]] = [lambda: _router(work, there.get(naming.ROUTER))]
    jobs += [lambda machine=machine: _machine(work, machine, there.get(machine.name)) for machine in work.topology.machines]  # type: ignore[misc]
    docker.at_once(lambda job: job(), jobs)


def _networks(work: _Work) -> None:
    there = {subnet.name for subnet in found.subnets()}
    for network in work.topology.networks:
        if naming.network(work.client, network.name) not in there:
            docker.run(machines.network_argv(work.topology, network))


def _strangers(work: _Work, there: Mapping[str, Standing]) -> None:
    """Machines that the inventory no longer names."""
    known = {naming.ROUTER, *(machine.name for machine in work.topology.machines)}
    gone = [name for name in there if name not in known]
    if gone:
        work.say(f"removing {', '.join(gone)}: no longer in the inventory")
        _discard(work.client, gone)


def _router(work: _Work, standing: Standing | None) -> None:
    began = time.monotonic()
    wanted = machines.router_spec(work.topology, work.making)
    if standing and standing.state == "running" and standing.spec == wanted:
        exec_in(work.client, naming.ROUTER, ["nft", "-f", "/rehearsal/rules.nft"], check=True)
        return
    if standing and (standing.state == "created" or standing.spec != wanted):
        _discard(work.client, [naming.ROUTER])
        standing = None
    if not standing:
        docker.run(machines.router_argv(work.topology, work.making))
        for network in work.topology.networks[1:]:
            docker.run(machines.leg_argv(work.topology, network))
    docker.run(["start", naming.container(work.client, naming.ROUTER)])
    wait_ready(work.client, naming.ROUTER, naming.ROUTER)
    work.say(f"router is up ({time.monotonic() - began:.1f} s)")


def _machine(work: _Work, machine: Machine, standing: Standing | None) -> None:
    began = time.monotonic()
    same = standing is not None and standing.spec == machines.machine_spec(work.topology, machine, work.making)
    if not (same and standing and standing.state == "running"):
        _start(work, machine, keep=same and standing is not None and standing.state != "created", there=standing is not None)
    failed = wait_ready(work.client, machine.name, machine.kind)
    if machine.kind == "deploy":
        put(work.client, machine.name, work.topology.folder, f"inventories/{work.client}", user=machine.user, skip=NOT_CARRIED)
    if not (same and standing and standing.state == "running"):
        work.say(f"{machine.name} is up ({time.monotonic() - began:.1f} s)" + (f"; failed units: {failed}" if failed else ""))


def _start(work: _Work, machine: Machine, *, keep: bool, there: bool) -> None:
    """Start a machine that is off, or make it anew."""
    if keep:
        docker.run(["start", naming.container(work.client, machine.name)])
        return
    if there:
        lost = "; what was installed there is lost" if machine.kind == "deploy" else ""
        work.say(f"{machine.name} is made anew, since the inventory or its image changed{lost}")
        _discard(work.client, [machine.name])
    if machine.kind == "host":
        sizes = dict(work.making.disks)
        for what in machines.DISKS:
            docker.run(machines.disk_argv(work.topology, machine, what, sizes.get(machine.name) if what == "docker" else None))
    docker.run(machines.machine_argv(work.topology, machine, work.making))
