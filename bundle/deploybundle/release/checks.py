"""What Compose accepts and a site cannot have: each with its reason and the way out."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .confined import check_confined, check_volume
from .problems import Problem
from .raw import Document, listed, mapping, open_variables, relative

NUMERIC_USER = re.compile(r"[0-9]+(:[0-9]+)?")
IMAGE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
SAFE_BINDS = ("/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo")
"""Host paths that may be mounted read-only: the same on every Debian, and no secret."""

Check = Callable[[Mapping[str, Any], str, Path], Iterator[Problem]]


def _user(service: Mapping[str, Any], place: str, _project: Path) -> Iterator[Problem]:
    user = service.get("user")
    if service.get("secrets") and not NUMERIC_USER.fullmatch(str(user or "")):
        got = f'got "{user}"' if user else "and none is set"
        hint = 'add the number that the image runs as, such as `user: "10001"`'
        yield Problem(f"{place}.user", f"a service with secrets needs a numeric user, who alone may read them; {got}", hint)


def _binds(service: Mapping[str, Any], place: str, project: Path) -> Iterator[Problem]:
    for index, volume in enumerate(service.get("volumes") or []):
        source = str(volume.get("source", ""))
        if volume.get("type") not in ("bind", "volume", "tmpfs"):
            yield Problem(
                f"{place}.volumes[{index}]", f'"{volume.get("type")}" is no kind of mount that travels', "a named volume"
            )
        elif "docker.sock" in source or "containerd.sock" in source:
            hint = "leave it out; `deployctl status` and the client's own monitoring look at containers from outside"
            yield Problem(
                f"{place}.volumes[{index}]", f'"{source}" is refused: who may call the engine is root on the host', hint
            )
        elif volume.get("type") == "bind" and not _may_bind(source, bool(volume.get("read_only")), project):
            message = f'"{source}" lies outside the project and would not travel'
            hint = "a relative path for files of the release, a named volume for data"
            yield Problem(f"{place}.volumes[{index}]", message, hint)


def _may_bind(source: str, read_only: bool, project: Path) -> bool:
    path = Path(os.path.normpath(source))
    inside = path.is_relative_to(project) and path != project
    return inside or (read_only and any(path.is_relative_to(safe) for safe in SAFE_BINDS))


def _published(service: Mapping[str, Any], place: str, _project: Path) -> Iterator[Problem]:
    for index, port in enumerate(service.get("ports") or []):
        if "-" in str(port.get("published", "")):
            message = f'"{port["published"]}" leaves the host port open'
            yield Problem(f"{place}.ports[{index}]", message, f"choose one, such as {port['published'].split('-')[0]}")


def _volumes_from(service: Mapping[str, Any], place: str, _project: Path) -> Iterator[Problem]:
    for key in ("volumes_from", "external_links"):
        if service.get(key):
            yield Problem(f"{place}.{key}", "refused: it ties the service to a container of one host", "use a named volume")


SERVICE_CHECKS: tuple[Check, ...] = (_user, _binds, _published, _volumes_from)


def check_service(service: Mapping[str, Any], place: str, project: Path) -> Iterator[Problem]:
    """Problems of one normalised service."""
    yield from check_confined(service, place)
    for check in SERVICE_CHECKS:
        yield from check(service, place, project)


def check_replicas(name: str, service: Mapping[str, Any], place: str, inbound: Iterable[str]) -> Iterator[Problem]:
    """Several copies on one host cannot all have the one port that a flow goes to."""
    replicas = mapping(service.get("deploy")).get("replicas") or service.get("scale") or 1
    if replicas > 1 and name in inbound:
        key = "deploy.replicas" if "deploy" in service else "scale"
        message = f"{replicas} copies cannot share the one port of a host that a flow goes to"
        yield Problem(f"{place}.{key}", message, "leave it at 1 and place the service on several hosts")


def check_shared(model: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Networks and volumes that are not the release's own."""
    for kind in ("networks", "volumes"):
        for name, entry in mapping(model.get(kind)).items():
            if mapping(entry).get("external"):
                message = f"refused: {kind} that are already there cannot be carried, nor isolated"
                yield Problem(f"{file}: {kind}.{name}.external", message, "leave `external` out")
    for name, entry in mapping(model.get("networks")).items():
        driver = mapping(entry).get("driver")
        if driver not in (None, "bridge"):
            yield Problem(
                f"{file}: networks.{name}.driver", f'"{driver}" is refused: flows are held on bridges', "leave it out"
            )
    for name, entry in mapping(model.get("volumes")).items():
        yield from check_volume(name, mapping(entry), file)


def check_image(image: str, place: str) -> Iterator[Problem]:
    """An image name that Docker would refuse."""
    if not IMAGE.fullmatch(image):
        yield Problem(f"{place}.image", f'"{image}" is no image name', "")


def check_open_images(docs: Iterable[Document], environment: Mapping[str, str], project: Path) -> Iterator[Problem]:
    """The bundle is made once, so which images it carries is known then."""
    for document in docs:
        for name, service in document.services.items():
            for variable in open_variables(str(service.get("image", "")), environment):
                place = f"{relative(document.file, project)}: services.{name}.image"
                hint = f"give it a default: ${{{variable}:-…}}"
                yield Problem(place, f"{variable} has no value when the bundle is made", hint)


def check_lost_keys(docs: Iterable[Document], project: Path) -> Iterator[Problem]:
    """Compose drops `x-deployctl` at the top of an included or extended file: say so instead of losing it."""
    for document in docs:
        if not document.top and "x-deployctl" in document.content:
            place = f"{relative(document.file, project)}: x-deployctl"
            yield Problem(place, "not read in a file that is included or extended", "move it to the top file")


def secret_names(service: Mapping[str, Any]) -> tuple[str, ...]:
    """The secrets that a normalised service uses."""
    return tuple(str(entry["source"]) for entry in listed(service.get("secrets")))
