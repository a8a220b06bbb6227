"""The desired state of a whole site, from a release, a site and secrets. Pure: the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from deploybundle.errors import InputError
from deploybundle.open import Image
from deploybundle.release import Release
from deployctl.desired.addresses import ServiceNet, networks
from deployctl.desired.answers import check_resources, check_settings, own_answers, settings_of
from deployctl.desired.around import Around, choose_pool
from deployctl.desired.compose import MIGRATE, Model, host_services, migration_service, mounted, project_model, tag_of
from deployctl.desired.flows import SiteFlows, site_flows
from deployctl.desired.model import Desired, File, HostDesired, Migration, ServiceDesired
from deployctl.desired.network import PROTOCOLS, ruleset
from deployctl.desired.paths import network_file, project_folder
from deployctl.desired.placement import Placement, placement
from deployctl.desired.probes import probes
from deployctl.desired.readme import host_readme
from deployctl.desired.render import SUFFIX, SiteView, client_view, render, template_names
from deployctl.desired.secret_files import secret_files
from deployctl.desired.sources import Sources
from deployctl.desired.system import system_files
from deployctl.desired.waves import waves
from deployctl.site import Host, Site

NOTHING = Around()
HASH_LABEL = "dev.deployctl.hash"
HEADER = "# Written by deployctl for {host}: {name} {version} at {client}. `docker compose up -d` here changes nothing.\n"


class MountMissing(InputError):
    """A service mounts a file that the release does not carry.

    The vendor puts the file into the project's folder, or mounts a named volume instead; then bundles again.
    """

    code = "mount-missing"


class SecretFileShared(InputError):
    """Two services that run as different users mount one template with a secret in it.

    A file belongs to one user, and no other may read a secret. Give each service a template of its own.
    """

    code = "secret-file-shared"


@dataclass(frozen=True)
class Context:
    """What every step of the computation needs."""

    release: Release
    site: Site
    sources: Sources
    placed: Placement
    flows: SiteFlows
    nets: Mapping[str, ServiceNet]
    waves: Mapping[str, int]

    @property
    def tags(self) -> dict[str, str]:
        """The tag of each image on hosts."""
        return {ref: tag_of(ref, image.config_digest) for ref, image in self.sources.images.items()}


def desired(release: Release, site: Site, sources: Sources, given: Around = NOTHING) -> Desired:
    """What each host shall have, with what is there already `given`.

    Raises InputErrors: a service without a host, a flow without an answer, a template that does not render.
    """
    settings = settings_of(release, sources)
    site = own_answers(release, settings, site.of(release.name), given)
    check_settings(settings, site)
    check_resources(release, site)
    placed = placement(release, site)
    pool = choose_pool(site, given)
    nets = networks(release.name, release.services, pool)
    context = Context(release, site, sources, placed, site_flows(release, site, placed), nets, waves(release))
    hosts = [host for host in site.targets if any(host in places for places in placed.values())]
    return Desired(
        project=release.name,
        version=release.version,
        hosts={host.name: _host(host, context) for host in hosts},
        waves=1 + max(context.waves.values(), default=-1),
        migrations=tuple(_migrations(context)),
        entrances=tuple(_entrances(context)),
        pool=str(pool),
        placed={host.name: host.address for host in hosts},
        answers=tuple(sorted(settings | set(release.services))),
    )


def _migrations(context: Context) -> list[Migration]:
    return [
        Migration(name, f"{name}-{MIGRATE}", context.placed[name][0].name, context.waves[name])
        for name, service in context.release.services.items()
        if service.spec.migrate
    ]


def _entrances(context: Context) -> list[str]:
    """The addresses that networks outside may use."""
    outside = set(context.site.client.networks) | {"any"}
    return sorted(
        f"{context.site.hosts[flow.host].address}:{flow.host_port}" for flow in context.flows.arriving if flow.origin in outside
    )


def _host(host: Host, context: Context) -> HostDesired:
    release, here = context.release, [name for name in context.release.services if host in context.placed[name]]
    flows = context.flows.of(host.name)
    models = host_services(
        release, here, flows, context.nets, context.tags, context.site.client, str(context.sources.project_dir),
        {ref: _environment(image) for ref, image in context.sources.images.items()},
    )  # fmt: skip
    files, versions = _secrets(here, context)
    files |= _project_files(host, models, context)
    _label(models, files, versions, context)
    _add_migrations(models, host, context)
    model = project_model(release, models, context.nets, str(context.sources.project_dir))
    network = ruleset(
        release.name,
        host,
        flows,
        {name: context.nets[name] for name in here},
        _elsewhere(host, context.flows, context.site),
    )
    files |= _own_files(host, model, network, flows, context)
    return HostDesired(
        name=host.name,
        files=dict(sorted(files.items())),
        services={name: _service(name, models[name], context) for name in here},
        compose=model,
        network=network,
        ports={
            protocol: tuple(sorted({str(f.host_port) for f in flows.arriving if f.port.protocol == protocol}))
            for protocol in PROTOCOLS
        },
        probes=probes(host, release, context.site, context.placed, context.flows, context.nets),
        doors={f"{f.host_port}/{f.port.protocol}": (f.target, f.port.port) for f in flows.arriving},
        users=dict(_users(here, context)),
    )


def _config(image: Image) -> dict[str, Any]:
    """What an image says of the containers that are made of it."""
    return json.loads(image.config).get("config") or {}


def _environment(image: Image) -> frozenset[str]:
    """The names of the variables that an image sets."""
    return frozenset(str(each).partition("=")[0] for each in _config(image).get("Env") or [])


def _users(here: list[str], context: Context) -> Iterator[tuple[str, str]]:
    """Each service's user where it is a number, said by the Compose file or by the image."""
    for name in here:
        service = context.release.services[name]
        said = service.user or _config(context.sources.images[service.image]).get("User") or "0"
        user = str(said).partition(":")[0]
        if user.isdigit():
            yield name, user


def _service(name: str, model: Model, context: Context) -> ServiceDesired:
    ref = context.release.services[name].image
    image = context.sources.images[ref]
    check = model.get("healthcheck") or _config(image).get("Healthcheck") or {}
    return ServiceDesired(
        name=name, ref=ref, tag=model["image"], config_digest=image.config_digest,
        hash=model["labels"][HASH_LABEL], wave=context.waves[name],
        healthcheck=bool(check) and not check.get("disable") and ["NONE"] not in (check.get("test"), check.get("Test")),
        names=tuple(model.get("extra_hosts") or ()),
    )  # fmt: skip


def _secrets(here: list[str], context: Context) -> tuple[dict[str, File], dict[str, str]]:
    files: dict[str, File] = {}
    versions: dict[str, str] = {}
    for name in here:
        own, versions[name] = secret_files(context.release, name, context.sources.secrets, context.site.name)
        files |= own
    return files, versions


def _project_files(host: Host, models: Mapping[str, Model], context: Context) -> dict[str, File]:
    """The release's files that this host's services mount, templates rendered, by their path on the host."""
    rendered = _rendered(host, context)
    folder = project_folder(context.release.name)
    available = {f"{folder}/{name}": file for name, file in rendered.items()}
    wanted: dict[str, File] = {}
    for name, model in models.items():
        for path in [*mounted(model, context.release), *_config_paths(model, context)]:
            found = {each: file for each, file in available.items() if each == path or each.startswith(path + "/")}
            if not found:
                raise MountMissing(
                    f"mounts {path.removeprefix(folder + '/')}, which the release does not carry",
                    place=f"services.{name}",
                )
            for each, file in found.items():
                owned = _owned(file, name, context)
                if owned.secret and wanted.get(each, owned).uid != owned.uid:
                    raise _shared(each, wanted[each].uid, owned.uid, name)
                wanted[each] = owned
    return wanted


def _shared(path: str, one: int, other: int, service: str) -> SecretFileShared:
    message = f"mounts {path}, which holds a secret and belongs to user {one} of another service; this one is {other}"
    hint = "give each service a template of its own, or let both run as the same user"
    return SecretFileShared(message, place=f"services.{service}", hint=hint)


def _owned(file: File, service: str, context: Context) -> File:
    """A file that holds a secret is readable for the service that mounts it only."""
    if not file.secret:
        return file
    uid = int((context.release.services[service].user or "0").partition(":")[0])
    return File(file.content, 0o400, uid, uid, secret=True)


def _config_paths(model: Model, context: Context) -> list[str]:
    configs, folder = context.release.compose.get("configs") or {}, project_folder(context.release.name)
    paths = []
    for use in model.get("configs") or []:
        file = configs.get(use["source"], {}).get("file")
        if file:
            paths.append(file.replace(str(context.sources.project_dir), folder, 1))
    return paths


def _rendered(host: Host, context: Context) -> dict[str, File]:
    release, files = context.release, dict(context.sources.files)
    view = {
        "site": SiteView(release, context.site, context.placed, context.nets, host),
        "host": host,
        "client": client_view(context.site),
        "release": release,
    }
    for name in template_names(files, release.config_dir):
        files[name.removesuffix(SUFFIX)] = render(name, files.pop(name), view, context.sources.secrets)
    return files


def _label(models: Mapping[str, Model], files: Mapping[str, File], versions: Mapping[str, str], context: Context) -> None:
    """Give each service a label that changes with all that its container is made from."""
    for name, model in models.items():
        paths = [*mounted(model, context.release), *_config_paths(model, context)]
        used = sorted(
            (path, "secret" if file.secret else file.digest)
            for path, file in files.items()
            if any(path == each or path.startswith(each + "/") for each in paths)
        )
        text = json.dumps([model, used, versions[name]], sort_keys=True)
        model["labels"] = {**(model.get("labels") or {}), HASH_LABEL: hashlib.sha256(text.encode()).hexdigest()[:16]}


def _add_migrations(models: dict[str, Model], host: Host, context: Context) -> None:
    for migration in _migrations(context):
        if migration.host == host.name:
            command = context.release.services[migration.service].spec.migrate or []
            net = context.nets[migration.service]
            models[migration.runs_as] = migration_service(models[migration.service], command, net, migration.service)


def _own_files(host: Host, model: Model, network: str, flows: SiteFlows, context: Context) -> dict[str, File]:
    release, site = context.release, context.site
    header = HEADER.format(host=host.name, name=release.name, version=release.version, client=site.name)
    compose = header + yaml.safe_dump(model, sort_keys=False, width=120)
    readme = host_readme(host, release, site, model, flows)
    return {
        f"{project_folder(release.name)}/compose.yaml": File(compose.encode(), mode=0o640),
        network_file(release.name): File(network.encode()),
        f"{project_folder(release.name)}/README": File(readme.encode()),
        **system_files(),
    }


def _elsewhere(host: Host, flows: SiteFlows, site: Site) -> dict[str, tuple[str, ...]]:
    """The product's endpoints on other hosts that no network outside may use: "address . port", by protocol."""
    found: dict[str, set[str]] = {protocol: set() for protocol in PROTOCOLS}
    for flow in flows.arriving:
        if flow.host != host.name and flow.origin in flows_services(flows):
            found[flow.port.protocol].add(f"{site.hosts[flow.host].address} . {flow.host_port}")
    return {protocol: tuple(sorted(endpoints)) for protocol, endpoints in found.items()}


def flows_services(flows: SiteFlows) -> set[str]:
    """The services that call others across hosts."""
    return {flow.source for flow in flows.leaving}
