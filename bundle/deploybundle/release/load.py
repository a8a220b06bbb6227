"""From a project's folder to its Release."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploybundle.errors import did_you_mean

from . import flows as flow_rules
from . import ports
from .checks import (
    check_image,
    check_lost_keys,
    check_open_images,
    check_replicas,
    check_service,
    check_shared,
    secret_names,
)
from .compose import Compose, compose
from .model import Flow, Port, Release, Service
from .problems import Problem, ProfileUnknown, ReleaseInvalid
from .raw import Document, documents, mapping, relative
from .schema import ReleaseSpec, SecretSpec, ServiceSpec
from .settings import required_answers, settings
from .typed import parse

KEY = "x-deployctl"
Exposed = Mapping[str, Sequence[Port]]


@dataclass(frozen=True)
class _Read:
    """What was read of one project, before anything is decided."""

    files: tuple[str, ...]
    project: Path
    docs: list[Document]
    model: dict[str, Any]
    exposed: Exposed

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        return mapping(self.model.get("services"))

    @property
    def plain(self) -> bool:
        return KEY not in self.model and not any(KEY in service for service in self.services.values())

    def place(self, service: str) -> str:
        """The file that says most about a service, and the service's key."""
        own = [doc for doc in self.docs if service in doc.services]
        marked = [doc for doc in own if KEY in doc.services[service]] or own
        file = relative(marked[0].file, self.project) if marked else self.files[0]
        return f"{file}: services.{service}"


def load(
    project_dir: Path,
    *,
    compose_binary: Path,
    environment: Mapping[str, str] | None = None,
    profiles: Sequence[str] = ("*",),
    files: Sequence[str] = (),
    version: str | None = None,
    name: str | None = None,
    exposed: Exposed | None = None,
    fill_required: bool = False,
) -> Release:
    """The release in `project_dir`, with all its problems at once (ReleaseInvalid, or Compose's own: ComposeRefused).

    `environment` answers the product's settings and is all that Compose sees of an environment. `exposed` maps an image
    to the ports that it declares. `fill_required` answers `${NAME:?}` with "1", so that a vendor can read the file.
    """
    reader = compose(project_dir, compose_binary, files, environment or {}, name)
    reader = required_answers(reader) if fill_required else reader
    docs = documents(reader.project_dir, reader.files, reader.environment)
    read = _Read(reader.files, reader.project_dir, docs, reader.config(("*",)), exposed or {})
    release = _release(read, reader, version)
    _check_profiles(read, profiles)
    return release if tuple(profiles) == ("*",) else _narrowed(release, reader.config(tuple(profiles)))


def _check_profiles(read: _Read, profiles: Sequence[str]) -> None:
    known = {str(profile) for body in read.services.values() for profile in body.get("profiles") or []}
    for profile in sorted(set(profiles) - known - {"*"}):
        hint = did_you_mean(profile, known) or "the release has none"
        raise ProfileUnknown(f'no service has the profile "{profile}"', place="profiles", hint=hint)


def _narrowed(release: Release, model: dict[str, Any]) -> Release:
    """The release with the services of some profiles only, and the flows between what is left."""
    active = mapping(model.get("services"))
    gone = release.services.keys() - active.keys()
    services = {name: replace(release.services[name], compose=active[name]) for name in active}
    flows = tuple(flow for flow in release.flows if not {flow.source, flow.target} & gone)
    return replace(release, services=services, flows=flows, compose=model)


def _release(read: _Read, reader: Compose, version: str | None) -> Release:
    spec, problems = parse(ReleaseSpec, read.model.get(KEY), f"{read.files[0]}: {KEY}")
    services = {}
    for name in read.services:
        services[name], found = _service(read, name)
        problems += found
    flows, found = _flows(read, spec, services)
    known_version = version or spec.version or (_common_tag(services, read) if read.plain else None)
    problems += [*found, *_shared_problems(read, spec, services, flows, reader.environment, known_version)]
    if problems:
        raise ReleaseInvalid(list(dict.fromkeys(problems)))
    return Release(
        name=str(read.model["name"]),
        version=known_version or "",
        targets=tuple(spec.targets),
        config_dir=spec.config,
        flows=tuple(flows),
        secrets=_secrets(spec, services),
        services={name: _with_flow_ports(service, flows) for name, service in services.items()},
        settings=settings(reader, read.docs),
        compose=read.model,
        plain=read.plain,
        compose_files=read.files,
    )


def _service(read: _Read, name: str) -> tuple[Service, list[Problem]]:
    body, place = read.services[name], read.place(name)
    spec, problems = parse(ServiceSpec, body.get(KEY), f"{place}.{KEY}")
    image = image_name(body, str(read.model["name"]), name)
    known = [*ports.exposed(body), *ports.targets(body), *read.exposed.get(image, ())]
    problems += [*check_service(body, place, read.project), *check_image(image, place)]
    service = Service(
        name=name,
        image=image,
        spec=spec,
        ports=tuple(sorted(set(known))),
        published=ports.published(body),
        user=body.get("user"),
        secrets=secret_names(body),
        volumes=any(volume.get("type") == "volume" for volume in body.get("volumes") or []),
        compose=body,
    )
    return service, problems


def image_name(service: Mapping[str, Any], project: str, name: str) -> str:
    """The image of a normalised service, with its tag; of one that is only built, the name that Compose gives it."""
    image = str(service.get("image") or f"{project}-{name}")
    tagged = ":" in image.rsplit("/", 1)[-1]
    return image if tagged else f"{image}:latest"


def _flows(read: _Read, spec: ReleaseSpec, services: Mapping[str, Service]) -> tuple[list[Flow], list[Problem]]:
    known = {name: service.ports for name, service in services.items()}
    if read.plain:
        reachable = {name: ports.reachable(body) for name, body in read.services.items()}
        return flow_rules.derived(read.services, known, reachable), []
    return flow_rules.declared(spec.flows, known, f"{read.files[0]}: {KEY}")


def _with_flow_ports(service: Service, flows: Sequence[Flow]) -> Service:
    more = {Port(flow.port, flow.protocol) for flow in flows if flow.target == service.name}
    return replace(service, ports=tuple(sorted({*service.ports, *more})))


def _shared_problems(
    read: _Read,
    spec: ReleaseSpec,
    services: Mapping[str, Service],
    flows: Sequence[Flow],
    environment: Mapping[str, str],
    version: str | None,
) -> Iterator[Problem]:
    top = f"{read.files[0]}: {KEY}"
    inbound = {flow.target for flow in flows}
    for name, body in read.services.items():
        yield from check_replicas(name, body, read.place(name), inbound)
    yield from check_shared(read.model, read.files[0])
    yield from check_open_images(read.docs, environment, read.project)
    yield from check_lost_keys(read.docs, read.project)
    yield from _config_problems(spec, read.project, top)
    yield from _secret_problems(spec, services, top)
    if version is None and "version" not in mapping(read.model.get(KEY)):
        plain = "no version, and the images' tags do not agree on one"
        place = read.files[0] if read.plain else f"{top}.version"
        yield Problem(place, plain if read.plain else "missing", "give --version")


def _config_problems(spec: ReleaseSpec, project: Path, top: str) -> Iterator[Problem]:
    folder = (project / (spec.config or ".")).resolve()
    if not folder.is_relative_to(project) or not folder.is_dir():
        yield Problem(f"{top}.config", f'no folder "{spec.config}" in the project')


def _secret_problems(spec: ReleaseSpec, services: Mapping[str, Service], top: str) -> Iterator[Problem]:
    used = {name for service in services.values() for name in service.secrets}
    for name in spec.secrets.keys() - used:
        close = difflib.get_close_matches(name, used - spec.secrets.keys(), n=1, cutoff=0.8)
        if close:
            yield Problem(f"{top}.secrets.{name}", "no service uses it", f'did you mean "{close[0]}"?')


def _secrets(spec: ReleaseSpec, services: Mapping[str, Service]) -> dict[str, SecretSpec]:
    used = dict.fromkeys(name for service in services.values() for name in service.secrets)
    return {name: spec.secrets.get(name) or SecretSpec() for name in [*spec.secrets, *(used.keys() - spec.secrets.keys())]}


def _common_tag(services: Mapping[str, Service], read: _Read) -> str | None:
    """A plain file's version: the one tag of the images that it builds, or else of all."""
    built = [service for service in services.values() if "build" in read.services[service.name]]
    tags = {service.image.rpartition(":")[2] for service in built or services.values()}
    tag = tags.pop() if len(tags) == 1 else "latest"
    return None if tag == "latest" else tag
