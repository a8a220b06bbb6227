"""One host's Compose project, out of Compose's own normalised model of the release.

What changes: only this host's services; images by tags that carry the digest; a network for each service instead of
the release's; nothing published, for our map of the network does that; secrets as a folder; names of other services
in extra_hosts. All else stays as the vendor wrote it.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from deploybundle.release import Release
from deployctl.desired.addresses import ServiceNet
from deployctl.desired.flows import SiteFlows
from deployctl.desired.paths import project_folder, secrets_folder
from deployctl.site import ClientSettings

Model = dict[str, Any]
DROPPED = ("build", "ports", "expose", "networks", "secrets", "profiles", "x-deployctl", "depends_on", "links", "scale")
ROTATED = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
SELF_LIMITING = ("json-file", "local")
UNLIMITED = {"max-size": ("", "-1", "0"), "max-file": ("", "0")}
"""What Docker takes for no limit (json-file's options)."""
PROXIES = tuple(f"{name}_proxy" for name in ("http", "https", "ftp", "no", "all"))
"""What Docker's own client puts into containers from root's ~/.docker/config.json. An empty value keeps it out, and is
read as "no proxy" by curl, Go, Python and Node; a missing one would take what the shell of an administrator has."""
NO_DNS = "127.0.0.1"
"""Names come from extra_hosts. A resolver in the container's own, empty loopback refuses the rest at once, and closes the
way out that Docker's resolver would be where the host's own resolver listens on loopback."""
MIGRATE = "migrate"


def tag_of(ref: str, config_digest: str) -> str:
    """The tag of an image on hosts: the vendor's, with 16 hex digits of the config's digest; 128 characters at most."""
    named = ref.partition("@")[0]
    name, _, tag = named.rpartition(":") if ":" in named.rsplit("/", 1)[-1] else (named, "", "latest")
    return f"{name}:{tag[:111]}-{config_digest.removeprefix('sha256:')[:16]}"


def host_services(
    release: Release, names: list[str], flows: SiteFlows, nets: Mapping[str, ServiceNet],
    tags: Mapping[str, str], client: ClientSettings, project_dir: str, environment: Mapping[str, Container[str]],
) -> dict[str, Model]:  # fmt: skip
    """The services of one host as Compose models, without our labels yet. `environment`: the names that images set."""
    models = {}
    for name in names:
        set_there = environment.get(release.services[name].image, frozenset())
        model = _service(release, name, names, nets[name], client, project_dir, set_there)
        model["image"] = tags[release.services[name].image]
        hosts = sorted(set(model.get("extra_hosts") or [])) + list(_names_of_others(release, name, flows, nets))
        if hosts:
            model["extra_hosts"] = list(dict.fromkeys(hosts))
        models[name] = model
    return models


def migration_service(model: Model, command: list[str], net: ServiceNet, service: str) -> Model:
    """The one-shot that migrates a service's data: its image, secrets and network, never started by `up`."""
    oneshot = {key: value for key, value in copy.deepcopy(model).items() if key not in ("healthcheck", "container_name")}
    oneshot |= {"command": [part.replace("$", "$$") for part in command], "restart": "no", "profiles": [MIGRATE]}
    oneshot["networks"] = {service: {"ipv4_address": str(net.oneshot)}}
    oneshot["healthcheck"] = {"disable": True}
    return oneshot


def project_model(release: Release, models: Mapping[str, Model], nets: Mapping[str, ServiceNet], project_dir: str) -> Model:
    """The whole Compose model of one host."""
    used = _used(models)
    model: Model = {"name": release.name, "services": dict(models)}
    model["networks"] = {name: _network(release.name, name, nets[name]) for name in sorted(used["networks"])}
    for kind in ("volumes", "configs"):
        parts = {name: part for name, part in (release.compose.get(kind) or {}).items() if name in used[kind]}
        if parts:
            model[kind] = {name: _at_host(part, release.name, project_dir) for name, part in parts.items()}
    return model


def mounted(model: Model, release: Release) -> Iterator[str]:
    """The host paths of ours that a service mounts: files, and folders of files."""
    folder = project_folder(release.name) + "/"
    for volume in model.get("volumes") or []:
        if volume.get("type") == "bind" and str(volume["source"]).startswith(folder):
            yield str(volume["source"])


def _service(
    release: Release, name: str, here: list[str], net: ServiceNet, client: ClientSettings, project_dir: str,
    image_names: Container[str],
) -> Model:  # fmt: skip
    original = release.services[name].compose
    model = {key: copy.deepcopy(value) for key, value in original.items() if key not in DROPPED and not key.startswith("x-")}
    model["pull_policy"] = "never"
    model.setdefault("restart", "unless-stopped")
    model["logging"] = _rotating(model.get("logging"))
    if original.get("network_mode") != "none":
        model.setdefault("dns", [NO_DNS])
        model["networks"] = {name: {"ipv4_address": str(net.container)}}
    _add_dependencies(model, original, here)
    _add_mounts(model, release, name, project_dir)
    _add_limits(model, name, client)
    _keep_out_proxies(model, image_names)
    return model


def _rotating(logging: Model | None) -> Model:
    """Container logs rotate, whatever the Compose file says."""
    if not logging or not logging.get("driver"):
        return copy.deepcopy(ROTATED)
    if logging["driver"] in SELF_LIMITING:
        said = {key: value for key, value in (logging.get("options") or {}).items() if str(value) not in UNLIMITED.get(key, ())}
        return {**logging, "options": {**ROTATED["options"], **said}}  # type: ignore[dict-item]
    return logging


def _add_dependencies(model: Model, original: Mapping[str, Any], here: list[str]) -> None:
    """Compose can wait for services of the same host only."""
    kept = {other: how for other, how in (original.get("depends_on") or {}).items() if other in here}
    if kept:
        model["depends_on"] = kept


def _add_mounts(model: Model, release: Release, name: str, project_dir: str) -> None:
    volumes = [_at_host(volume, release.name, project_dir) for volume in model.get("volumes") or []]
    if release.services[name].secrets:
        folder = secrets_folder(release.name, name)
        volumes.append({
            "type": "bind", "source": folder, "target": "/run/secrets", "read_only": True, "bind": {"create_host_path": False},
        })  # fmt: skip
    if volumes:
        model["volumes"] = volumes


def _at_host(part: Any, project: str, project_dir: str) -> Any:
    """The same part with the paths that it has on a host."""
    if not isinstance(part, dict):
        return part
    moved = dict(part)
    for key in ("source", "file"):
        path = PurePosixPath(str(part.get(key, "")))
        if path.is_absolute() and path.is_relative_to(project_dir):
            moved[key] = f"{project_folder(project)}/{path.relative_to(project_dir)}".rstrip("/.")
            if part.get("type") == "bind":
                moved["bind"] = {**(part.get("bind") or {}), "create_host_path": False}
    return moved


def _add_limits(model: Model, name: str, client: ClientSettings) -> None:
    limits = client.resources.get(name)
    if limits is None:
        return
    (model.get("deploy") or {}).pop("resources", None)
    if limits.memory is not None:
        model["mem_limit"] = limits.memory
    if limits.cpus is not None:
        model["cpus"] = limits.cpus


def _keep_out_proxies(model: Model, image_names: Container[str]) -> None:
    said = model.get("environment") or {}
    names = [name for proxy in PROXIES for name in (proxy.upper(), proxy)]
    kept_out = {name: "" for name in names if name not in said and name not in image_names}
    model["environment"] = {**said, **kept_out}


def _names_of_others(release: Release, name: str, flows: SiteFlows, nets: Mapping[str, ServiceNet]) -> Iterator[str]:
    """`name:address` for all that a service may call; its own host first."""
    for local in flows.local:
        if local.source == name:
            yield from (f"{alias}:{nets[local.target].virtual}" for alias in _aliases(release, local.target, name))
    for leaving in flows.leaving:
        if leaving.source == name:
            yield from (f"{alias}:{leaving.address}" for alias in _aliases(release, leaving.target, name))


def _aliases(release: Release, target: str, caller: str) -> list[str]:
    """The names under which Compose would make a service known to this caller."""
    if target not in release.services:
        return [target]
    model = release.services[target].compose
    names = [target, model.get("container_name"), model.get("hostname")]
    for network in (model.get("networks") or {}).values():
        names += (network or {}).get("aliases") or []
    links = [link.partition(":") for link in release.services[caller].compose.get("links") or []]
    names += [alias for service, _, alias in links if service == target]
    return list(dict.fromkeys(str(name) for name in names if name))


def _network(project: str, service: str, net: ServiceNet) -> Model:
    return {
        "name": f"{project}_{service}",
        "driver": "bridge",
        "driver_opts": {
            "com.docker.network.bridge.name": net.bridge,
            "com.docker.network.bridge.enable_ip_masquerade": "false",
        },
        "ipam": {"config": [{"subnet": str(net.subnet), "gateway": str(net.gateway)}]},
    }


def _used(models: Mapping[str, Model]) -> dict[str, set[str]]:
    used: dict[str, set[str]] = {"networks": set(), "volumes": set(), "configs": set()}
    for model in models.values():
        used["networks"] |= set(model.get("networks") or {})
        used["volumes"] |= {v["source"] for v in model.get("volumes") or [] if v.get("type") == "volume" and v.get("source")}
        used["configs"] |= {config["source"] for config in model.get("configs") or []}
    return used
