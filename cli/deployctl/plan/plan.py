"""The plan: a pure function of what shall be and what is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploybundle.open import Image, Repository
from deployctl.desired import HASH_LABEL, Desired, File, HostDesired, ServiceDesired
from deployctl.desired.paths import network_file
from deployctl.desired.system import DROP_IN, LOADER, UNIT
from deployctl.plan.images import encoding, image_steps
from deployctl.plan.leave import leaving
from deployctl.plan.model import CUT_OFF, EDITED, PAUSED, HostPlan, PackagesStep, Plan
from deployctl.plan.packages import packages_step, with_engine
from deployctl.plan.record import record, same_record

Facts = Mapping[str, Any]
Container = Mapping[str, Any]


def plan(
    desired: Desired, facts: Mapping[str, Facts], images: Mapping[str, Image], client: str, bundle: str, index_digest: str,
    repositories: Mapping[str, Repository] | None = None,
) -> Plan:  # fmt: skip
    """What to do on each host so that it has what it shall have; also on those that shall have nothing any more.

    `repositories`: packages by target, for bare hosts.
    """
    migrating = _migrating(desired, facts)
    hosts = {
        name: _host(
            desired, host, facts[name], images, record(desired, host, client, index_digest, facts[name]["record"]), migrating,
            packages_step(facts[name], repositories or {}),
        )
        for name, host in desired.hosts.items()
    }  # fmt: skip
    hosts |= leaving(desired.project, {name: about for name, about in facts.items() if name not in desired.hosts})
    installed = {str(about["record"]["release"]["version"]) for about in facts.values() if about["record"]}
    return Plan(client, desired.project, desired.version, bundle, desired.waves, hosts, tuple(sorted(installed)))


def _host(
    desired: Desired, host: HostDesired, facts: Facts, images: Mapping[str, Image],
    shall_record: dict[str, Any], migrating: set[str], packages: PackagesStep | None,
) -> HostPlan:  # fmt: skip
    facts = with_engine(facts, packages)
    write = tuple(path for path, file in host.files.items() if not _same(file, facts["files"].get(path)))
    services = dict(_services(host, facts, _edited(host, facts)))
    return HostPlan(
        name=host.name,
        encoding=encoding(facts),
        images=image_steps(host, images, facts),
        write=write,
        remove=tuple(sorted(set(facts["files"]) - set(host.files))),
        network=_network(desired.project, write, facts),
        services=services,
        waves=_waves(host, services),
        stop=tuple(sorted(_gone(host, desired, facts))),
        migrate=tuple((m.wave, m.runs_as) for m in desired.migrations if m.host == host.name and m.service in migrating),
        first=facts["record"] is None,
        record=shall_record,
        recorded=same_record(facts["record"], shall_record),
        packages=packages,
        volumes=_volumes(desired.project, facts) if facts["record"] is None else (),
    )


def _volumes(project: str, facts: Facts) -> tuple[str, ...]:
    return tuple(sorted(volume["name"] for volume in facts["volumes"] if volume["project"] == project))


def _same(file: File, found: Mapping[str, Any] | None) -> bool:
    if found is None:
        return False
    if file.link is not None:
        return found.get("link") == file.link
    if file.folder:
        return bool(found.get("folder")) and (found["mode"], found["uid"], found["gid"]) == (file.mode, file.uid, file.gid)
    shall = (file.digest, file.mode, file.uid, file.gid)
    return (found.get("sha256"), found.get("mode"), found.get("uid"), found.get("gid")) == shall


def _network(project: str, write: tuple[str, ...], facts: Facts) -> bool:
    """Load the table anew when its text or its loader changes, or when somebody took it away."""
    return bool({network_file(project), UNIT, DROP_IN, LOADER} & set(write)) or not facts.get("network", {}).get("loaded", True)


def _edited(host: HostDesired, facts: Facts) -> set[str]:
    """The files that are there and say something else. Which file a container sees is fixed when it starts."""
    shall = {path: file.link or file.digest for path, file in host.files.items()}
    found = {
        path: about.get("link") or about.get("sha256")
        for path, about in facts["files"].items()
        if about and not about.get("folder")
    }
    return {path for path in shall.keys() & found.keys() if shall[path] != found[path]}


def _services(host: HostDesired, facts: Facts, edited: set[str]) -> Iterator[tuple[str, str]]:
    """The services to start or make again, each with the reason."""
    running = {container["service"]: container for container in facts["containers"]}
    there = {str(net.get("id")) for net in facts["networks"]}
    for name, service in host.services.items():
        before = ((facts["record"] or {}).get("services") or {}).get(name, {})
        reason = _reason(service, running.get(name), before, there) or (EDITED if _sees(host, name, edited) else "")
        if reason:
            yield name, reason


def _sees(host: HostDesired, name: str, paths: set[str]) -> bool:
    """Whether a service mounts one of these files, alone or in a folder."""
    part, configs = host.compose["services"].get(name, {}), host.compose.get("configs") or {}
    mounts = [str(volume["source"]) for volume in part.get("volumes") or [] if volume.get("type") == "bind"]
    mounts += [str(configs.get(use["source"], {}).get("file")) for use in part.get("configs") or []]
    return any(path == mount or path.startswith(f"{mount}/") for path in paths for mount in mounts)


def _reason(service: ServiceDesired, container: Container | None, before: Mapping[str, Any], networks: set[str]) -> str:
    if container is None:
        return "new"
    if not networks.issuperset(container.get("networks", ())):
        return CUT_OFF
    if container["labels"].get(HASH_LABEL) != service.hash:
        if container["image"] != service.tag:
            return "changed image"
        others = before.get("names") is not None and list(before["names"]) != list(service.names)
        return "may call other services or addresses than before" if others else "changed configuration"
    if container["state"] == "paused":
        return PAUSED
    return "" if container["state"] == "running" else f"is {container['state']}"


def _waves(host: HostDesired, services: Mapping[str, str]) -> dict[int, tuple[str, ...]]:
    waves: dict[int, list[str]] = {}
    for name in services:
        waves.setdefault(host.services[name].wave, []).append(name)
    return {wave: tuple(sorted(names)) for wave, names in sorted(waves.items())}


def _gone(host: HostDesired, desired: Desired, facts: Facts) -> set[str]:
    """Services of this project that run here and shall not any more."""
    oneshots = {migration.runs_as for migration in desired.migrations}
    return {container["service"] for container in facts["containers"]} - set(host.services) - oneshots


def _migrating(desired: Desired, facts: Mapping[str, Facts]) -> set[str]:
    """The services whose data are migrated: those whose image is new on any host of theirs."""
    return {
        migration.service
        for migration in desired.migrations
        for host in desired.hosts.values()
        if migration.service in host.services and _new_image(host.services[migration.service], facts[host.name])
    }


def _new_image(service: ServiceDesired, facts: Facts) -> bool:
    """Whether the record of this host does not say this image: a run that failed has not been recorded, so it counts."""
    before = (facts["record"] or {}).get("services", {}).get(service.name)
    return before is None or before["config_digest"] != service.config_digest
