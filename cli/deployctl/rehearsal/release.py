"""What a release asks of the firewall between segments, so that the rehearsed router permits just that."""

from __future__ import annotations

import tempfile
from pathlib import Path

from deploybundle.open import Bundle, extract_files, open_bundle
from deploybundle.release import Port, Release, load
from deploybundle.sources import compose_binary
from deployctl.desired.flows import SiteFlows, site_flows
from deployctl.desired.placement import placement
from deployctl.rehearsal.firewall import HostFlow
from deployctl.site import Site


def flows_of(release: Release, site: Site) -> list[HostFlow]:
    """The flows of a release between this site's addresses, as its router's administrator would be asked to permit them."""
    return host_flows(site_flows(release, site, placement(release, site)), site)


def host_flows(flows: SiteFlows, site: Site) -> list[HostFlow]:
    """Arriving flows to a host's own address; leaving ones to machines outside. Pure."""
    address = {host.name: host.address for host in site.hosts.values()}
    inward = [HostFlow(flow.sources, (address[flow.host],), flow.host_port, flow.port.protocol) for flow in flows.arriving]
    outward = [
        HostFlow((address[flow.host],), (flow.address,), flow.port.port, flow.port.protocol)
        for flow in flows.leaving
        if flow.to not in address
    ]
    return list(dict.fromkeys([*inward, *outward]))


ANY = "0"
"""A version: a project's folder need not say one, and flows do not depend on it."""


def read_flows(site: Site, release: Path) -> list[HostFlow]:
    """The flows of a release: a project's folder, or a bundle of the vendor's own, whose signature is not asked for."""
    if release.is_dir():
        return flows_of(read_project(site, release), site)
    bundle = open_bundle(release, None)
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        extract_files(bundle, Path(folder))
        return flows_of(_load(site, Path(folder), bundle), site)


def read_project(site: Site, project: Path) -> Release:
    """A project's release with this client's answers, read by this machine's Compose."""
    return _load(site, project)


def _load(site: Site, folder: Path, bundle: Bundle | None = None) -> Release:
    client = site.client.of(bundle.name) if bundle else site.client
    images = bundle.images if bundle else {}
    meta = bundle.meta if bundle else {}
    exposed = {
        ref: [Port(port, "udp" if protocol == "udp" else "tcp") for port, protocol in image.exposed]
        for ref, image in images.items()
    }
    return load(
        folder, compose_binary=compose_binary(), environment=client.settings, profiles=client.profiles,
        files=meta.get("compose_files", ()), name=meta.get("name"), version=meta.get("version") or ANY,
        exposed=exposed, fill_required=True,
    )  # fmt: skip
