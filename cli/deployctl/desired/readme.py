"""/etc/deployctl/<product>/README: for the administrator of a host who has to live with us, and without us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deploybundle.release import Release
from deployctl.desired.flows import SiteFlows
from deployctl.desired.paths import ETC, STATE, network_file, project_folder
from deployctl.site import Host, Site


def host_readme(host: Host, release: Release, site: Site, model: Mapping[str, Any], flows: SiteFlows) -> str:
    """The text, in plain words, with the commands that need nothing of ours."""
    folder = project_folder(release.name)
    lines = [
        f"This host, {host.name}, runs a part of {release.name} {release.version}, which deployctl put here for"
        f" {site.client.title or site.name}.",
        "You need nothing of deployctl to live with it: it is an ordinary Docker Compose project.",
        "",
        "WHAT RUNS",
        *_services(model),
        "",
        "LOOK, STOP, START (as root)",
        f"  cd {folder}",
        "  docker compose ps                 what runs, and whether it is healthy",
        "  docker compose logs --tail 50     what it says (logs rotate: 3 files of 10 MB for each container)",
        "  docker compose restart            stop and start; nothing is made anew",
        f"  docker compose stop               stop all of it, {_until(model)}; the data stay",
        "  docker compose up -d              start all of it; changes nothing that runs already",
        "  docker compose up -d --force-recreate    if Docker misses a network, after `docker network prune`, say;",
        "                                    the data stay",
        "  It starts by itself when the machine starts.",
        "",
        "WHERE ITS DATA LIE",
        *_volumes(model),
        f"  Secrets: {STATE}/{release.name}/secrets (only root opens it; each service sees its own)",
        f"  What is installed: {STATE}/{release.name}/record.json",
        "",
        "WHO MAY CONNECT",
        *_flows(flows),
        *_seen(flows),
        f"  All else is refused by one nftables table of ours, in {network_file(release.name)}.",
        f"  Look:           nft list table inet {table(release.name)}",
        "  Load it again:  systemctl restart deployctl-network    (after `nft flush ruleset`, say. It takes Docker's own",
        "                  rules, too: where `iptables -L DOCKER -n` finds none, systemctl restart docker, at a quiet time)",
        "  It is loaded by deployctl-network.service, before Docker. Your own rules are not touched.",
        "",
        "REMOVE IT BY HAND (as root; `deployctl remove` on the deploy node does the same on every host)",
        f"  cd {folder} && docker compose --profile '*' rm -fsv && docker compose --profile '*' down --rmi all && cd /",
        f"  nft delete table inet {table(release.name)}",
        f"  rm -r {folder} {network_file(release.name)} {STATE}/{release.name}",
        f"  Where `ip link` still shows {' or '.join(_bridges(model))}: ip link delete that.",
        f"  Then, if it was the last product here, as {ETC}/README says.",
        *(f"  docker volume rm {name}    deletes its data for ever" for name in _volume_names(model)),
        "",
    ]
    return "\n".join(lines)


def table(project: str) -> str:
    """The name of a project's nftables table."""
    return "deployctl_" + "".join(char if char.isalnum() else "_" for char in project)


def _services(model: Mapping[str, Any]) -> list[str]:
    services = {name: part for name, part in model["services"].items() if "profiles" not in part}
    width = max(map(len, services), default=0)
    return [f"  {name:<{width}}  {part['image']}" for name, part in services.items()]


def _until(model: Mapping[str, Any]) -> str:
    """Docker starts again what says `always` when it starts itself."""
    again = any(part.get("restart") == "always" for part in model["services"].values())
    return "until the machine starts again" if again else "also over a restart of the machine"


def _seen(flows: SiteFlows) -> Iterable[str]:
    """An administrator looks for who listens, and finds nobody."""
    if flows.arriving:
        yield "  Ports of `in` show neither in `ss -l` nor in `docker ps`: the table maps them from this host to the container."


def _bridges(model: Mapping[str, Any]) -> list[str]:
    """Docker leaves a bridge behind now and then, when its rules were flushed under it."""
    return [net["driver_opts"]["com.docker.network.bridge.name"] for net in (model.get("networks") or {}).values()]


def _volume_names(model: Mapping[str, Any]) -> list[str]:
    return [part.get("name", name) for name, part in (model.get("volumes") or {}).items()]


def _volumes(model: Mapping[str, Any]) -> list[str]:
    volumes = _volume_names(model)
    return [f"  Docker volume {name} (docker volume inspect {name})" for name in volumes] or [
        "  It keeps no data on this host."
    ]


def _flows(flows: SiteFlows) -> Iterable[str]:
    for arriving in flows.arriving:
        yield f"  in:   {arriving.origin} ({', '.join(arriving.sources)}) to {arriving.target}, port {arriving.host_port}"
    for local in flows.local:
        yield f"  here: {local.source} to {local.target}, port {local.port}"
    for leaving in flows.leaving:
        yield f"  out:  {leaving.source} to {leaving.target} at {leaving.to} ({leaving.address}), port {leaving.port}"
