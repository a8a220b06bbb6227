"""Preflight: everything that would stop an install, in one list, each with its remedy, before anything changes."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploybundle.errors import SiteError
from deploybundle.open import Image
from deployctl.desired import Desired, HostDesired
from deployctl.hosts import NoDocker
from deployctl.plan import HostPlan, Plan, engine_of, target_of
from deployctl.verify.problems import (
    ClockSkewed,
    EngineRulesGone,
    EngineTooOld,
    HostArchitecture,
    HostComposeMissing,
    HostComposeTooOld,
    HostDisk,
    HostMemory,
    HostPythonTooOld,
    HostToolMissing,
    PoolTaken,
    PortTaken,
)

Facts = Mapping[str, Any]
ENGINE = (20, 10)
COMPOSE = (2, 18)
PYTHON = (3, 9)
SKEW = 30.0
"""Seconds that a host's clock may differ: certificates, tokens and logs still agree."""
ROOM = 256 * 2**20
"""Bytes that stay free beside what we write."""
LOOPBACK = ("127.", "::1", "::ffff:127.")
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def preflight(
    desired: Desired, plan: Plan, facts: Mapping[str, Facts], images: Mapping[str, Image], other_pool: str
) -> list[SiteError]:
    """All problems of the hosts that could be asked. `other_pool` is proposed where the client's is taken."""
    found: list[SiteError] = []
    for name in plan.leaving:
        found += _engine(name, facts[name], ())
    for name, about in facts.items():
        if name not in desired.hosts:
            continue
        host, steps = desired.hosts[name], plan.hosts[name]
        brought = steps.packages.names if steps.packages else ()
        found += _engine(name, about, brought)
        found += _tools(name, about, brought)
        found += _engine_rules(host, about)
        found += _architecture(host, about, images)
        found += _space(steps, host, about)
        found += _memory(host, about)
        found += _ports(host, about)
        found += _neighbours(host, about, desired.project)
        found += _pool(name, about, desired, other_pool)
        found += _clock(name, about)
    return found


def _engine(name: str, facts: Facts, brought: Sequence[str]) -> Iterator[SiteError]:
    docker, there = facts["docker"], engine_of(facts)
    if docker["problem"] and there:
        remedy = f"{there} is installed, and is not replaced: start it (systemctl enable --now docker), or remove it"
        yield NoDocker(f"no Docker engine: {docker['problem']}", place=name, hint=remedy)
    elif docker["problem"] and "docker.io" not in brought:
        yield NoDocker(f"no Docker engine: {docker['problem']}", place=name, hint=_not_brought(facts, "docker.io"))
    elif docker["version"] and _version(docker["version"]) < ENGINE:
        said = f"Docker {docker['version']} is too old; expected 20.10 or newer"
        yield EngineTooOld(said, place=name, hint="upgrade the engine")
    if not facts["compose"] and "docker-compose" not in brought:
        yield HostComposeMissing("no `docker compose`", place=name, hint=_no_compose(facts))
    elif facts["compose"] and _version(facts["compose"]) < COMPOSE:
        said = f"Compose {facts['compose']} is too old; expected 2.18 or newer"
        yield HostComposeTooOld(said, place=name, hint="upgrade docker-compose")


def _not_brought(facts: Facts, *packages: str) -> str:
    target = target_of(facts)
    install = f"install it: apt-get install {' '.join(packages)}"
    return f"have the bundle built with targets: [{target}] in compose.yaml, or {install}" if target else install


def _no_compose(facts: Facts) -> str:
    installed = facts.get("packages", {}).get("docker-compose", "")
    if installed and _version(installed) >= (2,):
        return f"docker-compose {installed} is installed, yet its plugin is gone: apt-get install --reinstall docker-compose"
    if installed:
        return (
            "the installed docker-compose is of another kind, and is not replaced: remove it, or install docker-compose-plugin"
        )
    return _not_brought(facts, "docker-compose")


def _tools(name: str, facts: Facts, brought: Sequence[str]) -> Iterator[SiteError]:
    if _version(facts["python"]) < PYTHON:
        said = f"Python {facts['python']} is too old; expected 3.9 or newer"
        yield HostPythonTooOld(said, place=name, hint="upgrade python3")
    for tool, found in facts.get("tools", {}).items():
        if not found and tool not in brought:
            yield HostToolMissing(f"no {tool}, which isolation needs", place=name, hint=_not_brought(facts, tool))


def engine_lost_rules(facts: Facts) -> bool:
    """Whether somebody took the engine's own rules away, as `nft flush ruleset` does. What runs goes on; what is new fails."""
    return not facts["docker"]["problem"] and not facts.get("network", {}).get("engine_rules", True)


def _engine_rules(host: HostDesired, facts: Facts) -> Iterator[SiteError]:
    """Seen on Docker 26.1 and 28.5: it makes no network then ("No chain/target/match by that name")."""
    there = {net["name"] for net in facts["networks"]}
    wanted = {net["name"] for net in (host.compose.get("networks") or {}).values()}
    if wanted - there and engine_lost_rules(facts):
        message = "Docker's own iptables rules are gone, as after `nft flush ruleset`; it cannot make a network without them"
        hint = "systemctl restart docker there (its containers stop for a moment), then run this again"
        yield EngineRulesGone(message, place=host.name, hint=hint)


def _architecture(host: HostDesired, facts: Facts, images: Mapping[str, Image]) -> Iterator[SiteError]:
    for ref in host.refs:
        built = json.loads(images[ref].config).get("architecture", "")
        if ARCHITECTURES.get(built, built) != facts["arch"]:
            said = f"{ref} is for {built}, the host is {facts['arch']}"
            yield HostArchitecture(said, place=host.name, hint="build the bundle for this machine")


def _space(steps: HostPlan, host: HostDesired, facts: Facts) -> Iterator[SiteError]:
    """The engine unpacks a load into its temporary folder and then applies it: twice the raw bytes of what is new."""
    packages = steps.packages.unpacked if steps.packages else 0
    needed = 2 * sum(step.unpacked for step in steps.images) + packages + ROOM
    free = facts["free"]["docker"]
    if (steps.images or packages) and free < needed:
        where = facts["docker"]["root_dir"] or "/var/lib"
        said = f"too little disk in {where}: {mib(free)} free, {mib(needed)} needed"
        yield HostDisk(said, place=host.name, hint=f"free {mib(needed - free)} there")
    wanted = sum(len(host.files[path].content) for path in steps.write) + 2**20
    for folder in ("/etc", "/var/lib"):
        if steps.write and facts["free"][folder] < wanted:
            message = f"too little disk in {folder}: {mib(facts['free'][folder])} free, {mib(wanted)} needed"
            yield HostDisk(message, place=host.name, hint=f"free {mib(wanted)} there")


def _memory(host: HostDesired, facts: Facts) -> Iterator[SiteError]:
    needed = sum(
        _bytes(part.get("mem_limit") or _limit(part))
        for name, part in host.compose["services"].items()
        if name in host.services
    )
    if needed > facts["memory"]:
        message = f"too little memory: {mib(facts['memory'])}, its services may use {mib(needed)}"
        yield HostMemory(message, place=host.name, hint="give the machine more, or lower resources in client.yml")


def _limit(part: Mapping[str, Any]) -> str:
    limits = ((part.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    return str(limits.get("memory") or 0)


def _bytes(text: Any) -> int:
    """A size of the Compose file, in bytes: 512m, 1g, 1073741824."""
    word = str(text).lower().rstrip("b")
    factor = {"k": 2**10, "m": 2**20, "g": 2**30}.get(word[-1:], 1)
    number = word.rstrip("kmg")
    return int(float(number) * factor) if number else 0


def _ports(host: HostDesired, facts: Facts) -> Iterator[SiteError]:
    others = [entry for entry in facts["listening"] if not entry["address"].startswith(LOOPBACK)]
    taken = {(entry["protocol"], str(entry["port"])): entry["address"] for entry in others}
    for protocol, ports in host.ports.items():
        for port in ports:
            if (protocol, port) in taken:
                message = f"port {port}/{protocol} is in use: something listens on {taken[protocol, port]}:{port}"
                remedy = f"stop it (ss -lp 'sport = :{port}'), or choose another in client.yml: ports"
                yield PortTaken(message, place=host.name, hint=remedy)


def _neighbours(host: HostDesired, facts: Facts, project: str) -> Iterator[SiteError]:
    """Ports of our other products: nothing listens on them, our map of the network leads them to containers."""
    taken = {
        f"{port}/{protocol}": name
        for name, neighbour in facts["neighbours"].items()
        for protocol, ports in (neighbour["ports"] or {}).items()
        for port in ports
    }
    for door, (service, own) in host.doors.items():
        if door in taken:
            port, _, protocol = door.partition("/")
            free = next(number for number in range(int(port) + 1, 65536) if f"{number}/{protocol}" not in {*taken, *host.doors})
            line = f"products: {{{project}: {{ports: {{{service}: {{{own}: {free}}}}}}}}}"
            said = f"port {door} is {taken[door]}'s already; {project}'s {service} wants it, too"
            yield PortTaken(said, place=host.name, hint=f"write into client.yml: {line}")


def _pool(name: str, facts: Facts, desired: Desired, proposed: str) -> Iterator[SiteError]:
    """The client's networks must not lie in the pool; our own networks do."""
    project, pool, wanted = desired.project, desired.pool, ipaddress.ip_network(desired.pool)
    own = {subnet for net in facts["networks"] if net["project"] == project for subnet in net["subnets"]}
    for other in sorted({*facts["routes"], *(s for net in facts["networks"] for s in net["subnets"])} - own):
        if ipaddress.ip_network(other, strict=False).overlaps(wanted):
            said = f"{other} is in use there and lies in the pool {pool}"
            yield PoolTaken(said, place=name, hint=f"write into client.yml: pool: {proposed}")


def _clock(name: str, facts: Facts) -> Iterator[SiteError]:
    skew = facts["ahead"]
    if abs(skew) > SKEW:
        word = "ahead of" if skew > 0 else "behind"
        said = f"its clock is {abs(skew):.0f} s {word} this machine's"
        yield ClockSkewed(said, place=name, hint="set the clock of the one that is wrong")


def _version(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: 20.10.24+dfsg1 is (20, 10, 24)."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def mib(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size / 2**10:,.0f} KiB"
