"""What a host lacks before it can run anything: an engine, Compose, nft, iptables. What is there is never replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploybundle.open import INDEX, Package, Repository
from deployctl.hosts.pool import pool_size
from deployctl.plan.model import PackagesStep

Facts = Mapping[str, Any]
ENGINE = "docker.io"
CLI = "docker-cli"
COMPOSE = "docker-compose"
ENGINES = ("docker-ce", "docker-ce-cli", "docker-engine", "moby-engine", "moby-cli", "podman-docker", ENGINE)
"""Packages of an engine, or in the place of one. Where one is installed we bring none, running or not."""


def target_of(facts: Facts) -> str:
    """The host's distribution as `targets` names it: debian-13."""
    return f"{facts['os']['id']}-{facts['os']['version']}" if facts.get("os") else ""


def engine_of(facts: Facts) -> str:
    """The package of the engine that is installed, whether it runs or not; empty if none is."""
    return next((name for name in ENGINES if name in facts.get("packages", {})), "")


def packages_step(facts: Facts, repositories: Mapping[str, Repository]) -> PackagesStep | None:
    """What to install on this host out of the bundle, or None if it lacks nothing or the bundle has nothing for it."""
    repository = repositories.get(target_of(facts))
    names = tuple(name for name in _names(facts) if repository and name in repository.packages)
    if repository is None or not names:
        return None
    there: Mapping[str, str] = facts.get("packages", {})
    missing = [package for package in repository.closure(names) if there.get(package.name) != package.version]
    files = (*INDEX, *(package.file for package in missing))
    size = pool_size([repository.files[name].size for name in files])
    engine = repository.packages[ENGINE].version if ENGINE in names else ""
    return PackagesStep(repository.target, names, files, size, _room(missing), engine)


def with_engine(facts: Facts, step: PackagesStep | None) -> Facts:
    """The facts as they will be once the engine is there: images can be planned before it is."""
    if step is None or not step.engine:
        return facts
    zstd = int(step.engine.split(".")[0]) >= 23
    return {**facts, "docker": {**facts["docker"], "zstd_ok": zstd}}


def _names(facts: Facts) -> Iterator[str]:
    there = facts.get("packages", {})
    if not facts["docker"]["version"] and not engine_of(facts):
        yield from (ENGINE, CLI)
    elif ENGINE in there and CLI not in there and not facts["compose"]:
        yield CLI
    if not facts["compose"] and COMPOSE not in there:
        yield COMPOSE
    yield from sorted(name for name, found in facts.get("tools", {}).items() if not found)


def _room(packages: Sequence[Package]) -> int:
    """The packages themselves, and what they unpack to."""
    return sum(package.size + package.unpacked for package in packages)
