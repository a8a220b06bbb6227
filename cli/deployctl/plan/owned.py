"""What we own on a host: files, and what Docker and the kernel hold for us; each with why, and whether it is as written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployctl.desired.paths import STATE, purpose, record_file
from deployctl.desired.readme import table
from deployctl.plan.leave import what_leaves

Facts = Mapping[str, Any]
UNRECORDED = "not in the record"
LEFT = "an install or a removal that did not end left it"


@dataclass(frozen=True)
class Owned:
    """One thing of ours. `kind` is file, secret, folder, link, container, network, image, volume or table."""

    host: str
    project: str
    kind: str
    name: str
    why: str
    release: str
    state: str


def owned(host: str, project: str, facts: Facts) -> list[Owned]:
    """Everything of one product on one host."""
    release = str((facts["record"] or {}).get("release", {}).get("version", "-"))
    files = _files if facts["record"] else _left
    rows = [*files(project, facts), *_docker(project, facts), *_table(project, facts)]
    return [Owned(host, project, kind, name, why, release, state) for kind, name, why, state in rows]


def _files(project: str, facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    recorded = facts["record"]["files"]
    for path in sorted({*recorded, *facts["files"]}):
        wanted = recorded.get(path)
        yield _kind(path, wanted or {}), path, purpose(path, project), _state(wanted, facts["files"].get(path))
    yield "file", record_file(project), purpose(f"{STATE}/{project}/", project), "there"
    for path in facts["strangers"]:
        yield "file", path, "not ours: somebody else put it into our folder", "stranger"


def _left(project: str, facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    """What lies where an install has put its files and written no record yet: the very files that a removal takes."""
    goes = what_leaves(project, facts)
    there = {*facts["files"], *facts["strangers"], *facts["lying"]}
    for path in sorted(there & {*goes.files, *goes.strangers, *goes.shared}):
        yield _kind(path, {}), path, f"{purpose(path, project)}; {LEFT}", UNRECORDED


def _kind(path: str, wanted: Mapping[str, Any]) -> str:
    kinds = [kind for kind in ("secret", "folder", "link") if kind in wanted]
    return kinds[0] if kinds else "secret" if "/secrets/" in path else "file"


def _state(wanted: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> str:
    """A secret's content is in no record: of it only the mode and the owner are compared."""
    if found is None:
        return "missing"
    if wanted is None:
        return UNRECORDED
    if not wanted:
        return "not compared: an older deployctl recorded no digests"
    differs = [key for key, value in wanted.items() if key != "secret" and found.get(key) != value]
    words = {"sha256": "content", "link": "target", "uid": "owner", "gid": "group"}
    return f"changed: {', '.join(words.get(key, key) for key in differs)}" if differs else "as written"


def _docker(project: str, facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    tags = {tag for image in facts["images"] for tag in image["tags"]}
    for container in facts["containers"]:
        yield "container", container["name"], f"runs {container['service']}", container["health"] or container["state"]
    for network in facts["networks"]:
        if network["project"] == project:
            yield "network", network["name"], "what one service's containers have among themselves", "there"
    for volume in facts["volumes"]:
        if volume["project"] == project:
            yield "volume", volume["name"], "data", "there"
    for tag in facts["record"]["images"] if facts["record"] else what_leaves(project, facts).images:
        yield "image", tag, "what containers are made of", "there" if tag in tags else "missing"


def _table(project: str, facts: Facts) -> Iterator[tuple[str, str, str, str]]:
    if not (facts["record"] or facts["network"]["loaded"]):
        return  # an install that did not get as far
    loaded = "loaded" if facts["network"]["loaded"] else "missing: systemctl restart deployctl-network"
    yield "table", f"inet {table(project)}", "who may connect", loaded
