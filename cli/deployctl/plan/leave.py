"""Leaving a host: what of a product goes, and what stays. Needs no release: the host's record and facts say it all."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deployctl.desired.paths import network_file
from deployctl.desired.system import system_files
from deployctl.plan.model import HostPlan, Leave

Facts = Mapping[str, Any]
OURS = re.compile(r".*-([0-9a-f]{16})")
"""A tag of ours ends with digits of the image's own digest (deployctl.desired.compose.tag_of)."""


def leaving(project: str, facts: Mapping[str, Facts], delete: Collection[str] = ()) -> dict[str, HostPlan]:
    """The plans of the hosts that have something of the product. `delete` names volumes that go, also where only data lie."""
    concerned = {name: about for name, about in facts.items() if _has(project, about) or _named(project, about, delete)}
    return {name: _host(project, name, about, delete) for name, about in concerned.items()}


def volumes_of(project: str, facts: Facts) -> list[str]:
    """The product's volumes on a host; they stay when all else goes."""
    return sorted(volume["name"] for volume in facts["volumes"] if volume["project"] == project)


def _named(project: str, facts: Facts, delete: Collection[str]) -> bool:
    return not set(delete).isdisjoint(volumes_of(project, facts))


def _only_data(project: str, facts: Facts) -> bool:
    """Whether a removal was here before. Its lock is none of the product, and what other products need does not count."""
    lying = set(facts["lying"]) if not set(facts["projects"]) - {project} else {network_file(project)} & set(facts["lying"])
    networks = any(net["project"] == project for net in facts["networks"])
    return not (facts["record"] or facts["containers"] or facts["files"] or facts["strangers"] or networks or lying)


def _has(project: str, facts: Facts) -> bool:
    """Whether anything but data lies here."""
    networks = any(net["project"] == project for net in facts["networks"])
    return bool(facts["record"] or facts["containers"] or facts["files"] or networks or project in facts["projects"])


def _host(project: str, name: str, facts: Facts, delete: Collection[str]) -> HostPlan:
    leave = what_leaves(project, facts, delete)
    return HostPlan(
        name=name, encoding="raw", images=(), write=(), remove=(), network=False, services={}, waves={},
        stop=leave.services, migrate=(), first=False, record={}, recorded=True, leave=leave,
    )  # fmt: skip


def what_leaves(project: str, facts: Facts, delete: Collection[str] = ()) -> Leave:
    """All that a removal would take from one host, and what it would leave there."""
    volumes = volumes_of(project, facts)
    kept, gone = tuple(name for name in volumes if name not in delete), tuple(name for name in volumes if name in delete)
    if _only_data(project, facts) and gone:
        return Leave("", (), (), (), (), (), (), last=False, volumes=kept, delete=gone)
    last = not set(facts["projects"]) - {project}
    shared = set(system_files())
    own = set(facts["files"]) - shared | {network_file(project)}
    return Leave(
        version=str((facts["record"] or {}).get("release", {}).get("version", "")),
        services=tuple(sorted({container["service"] for container in facts["containers"]})),
        networks=tuple(sorted(net["name"] for net in facts["networks"] if net["project"] == project)),
        images=tuple(sorted(_images(facts, last))),
        files=tuple(sorted(own)),
        strangers=tuple(sorted(set(facts["strangers"]) - own)),
        shared=tuple(sorted(shared)) if last else (),
        last=last,
        volumes=kept,
        delete=gone,
        packages=tuple(sorted(facts["installed_packages"].get("installed", {}))) if last else (),
    )


def _images(facts: Facts, last: bool) -> Iterator[str]:
    """The tags that we loaded: as the record says, as containers have them, and for the last product all of our kind."""
    said = {*(facts["record"] or {}).get("images", []), *(container["image"] for container in facts["containers"])}
    others = {tag for about in facts["neighbours"].values() for tag in about.get("images") or []}
    for image in facts["images"]:
        for tag in image["tags"]:
            if tag not in others and (tag in said or (last and _is_ours(tag, image["id"]))):
                yield tag


def _is_ours(tag: str, identity: str) -> bool:
    found = OURS.fullmatch(tag)
    return found is not None and identity.removeprefix("sha256:").startswith(found[1])
