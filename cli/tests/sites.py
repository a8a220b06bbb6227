"""Sites, releases and facts as values, for tests: nothing here reads a file or asks a machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from deploybundle.open import Descriptor, Image, Layer
from deploybundle.release import Flow, Port, Release, SecretSpec, Service, ServiceSpec
from deployctl.desired import HASH_LABEL, Desired, File, HostDesired, Sources
from deployctl.plan import record
from deployctl.secrets import Secret
from deployctl.site import ClientSettings, Host, Site

ACME = {
    "web1": ("10.77.10.11", "dmz"),
    "app1": ("10.77.20.11", "internal"),
    "app2": ("10.77.20.12", "internal"),
    "db1": ("10.77.30.11", "data"),
    "deploy": ("10.77.40.10", "management"),
}
ONE = {"srv1": ("10.78.10.11", "server"), "deploy": ("10.78.40.10", "management")}
FOLDER = Path("/srv/inventories/acme")
CLIENT_YML = f"{FOLDER}/group_vars/all/client.yml"
PROJECT = Path("/srv/shop")


def digest(data: bytes) -> str:
    """`sha256:…` of these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def site(hosts: Mapping[str, tuple[str, str]] = ACME, **client: Any) -> Site:
    """A site of hosts (name -> address and segment) and a client's answers."""
    made = {name: Host(name, address, segment, {}) for name, (address, segment) in hosts.items()}
    return Site("acme", FOLDER, made, ClientSettings.model_validate(client))


def service(name: str, listening: Iterable[Port] = (), /, **compose: Any) -> Service:
    """A service as Compose would have normalised it; `x` is its x-deployctl."""
    spec = ServiceSpec.model_validate(compose.pop("x", {}))
    body = {"image": f"shop/{name}:1", **compose}
    used = tuple(each["source"] for each in body.get("secrets", ()))
    return Service(name, body["image"], spec, tuple(sorted(set(listening))), {}, body.get("user"), used, False, body)


def release(services: Mapping[str, Mapping[str, Any]], flows: Iterable[tuple[str, str, int]] = (), **more: Any) -> Release:
    """A release of services (name -> their part of the Compose file) and flows (from, to, port)."""
    found = tuple(Flow(*flow) for flow in flows)
    made = {
        name: service(name, [Port(f.port, f.protocol) for f in found if f.target == name], **body)
        for name, body in services.items()
    }
    secrets = {name: SecretSpec() for each in made.values() for name in each.secrets}
    compose = {"name": "shop", "services": {name: each.compose for name, each in made.items()}, **more.pop("compose", {})}
    given = {"name": "shop", "version": "1.0.0", "targets": (), "config_dir": "config/", "settings": {}, "plain": False, **more}
    return Release(flows=found, services=made, secrets=secrets, compose=compose, **given)


def image(ref: str, *layers: bytes, architecture: str = "amd64", **config: Any) -> Image:
    """An image of these raw layers; `config` is what its Dockerfile says."""
    made = tuple(
        Layer(digest(raw), len(raw), Descriptor("application/vnd.oci.image.layer.v1.tar", digest(raw), len(raw), {}))
        for raw in layers
    )
    body = {"architecture": architecture, "config": config, "rootfs": {"diff_ids": [layer.diff_id for layer in made]}}
    text = json.dumps({**body, "ref": ref}).encode()
    return Image(ref, digest(text), text, Descriptor("m", digest(text), len(text), {}), made)


def sources(of: Release, files: Mapping[str, bytes | File] | None = None, **secrets: str) -> Sources:
    """Images of one own layer above a shared one, files by name, and secrets."""
    images = {each.image: image(each.image, b"base" * 100, each.image.encode() * 50) for each in of.services.values()}
    contents = {name: File(body) if isinstance(body, bytes) else body for name, body in (files or {}).items()}
    return Sources(PROJECT, contents, images, {name: Secret(value) for name, value in secrets.items()})


def bare(**changes: Any) -> dict[str, Any]:
    """The facts of a host that is ready and has nothing yet."""
    return {
        "docker": {"version": "26.1.5", "problem": "", "zstd_ok": True, "root_dir": "/var/lib/docker"},
        "compose": "2.26.1", "python": "3.11.2", "arch": "x86_64", "memory": 8 * 2**30, "ahead": 0.2,
        "tools": {"nftables": True, "iptables": True}, "network": {"loaded": False},
        "free": {"docker": 50 * 2**30, "/etc": 2**30, "/var/lib": 2**30},
        "images": [], "containers": [], "networks": [], "routes": ["10.77.20.0/24"], "listening": [], "files": {},
        "record": None, "volumes": [], "neighbours": {}, "accounts": {}, "strangers": [], "projects": [],
        "installed_packages": {}, "lying": [],
    } | changes  # fmt: skip


def found(file: File) -> dict[str, Any]:
    """What a host says of a file that is as it shall be."""
    if file.link is not None:
        return {"link": file.link, "uid": file.uid, "gid": file.gid}
    if file.folder:
        return {"folder": True, "mode": file.mode, "uid": file.uid, "gid": file.gid}
    return {"sha256": file.digest, "mode": file.mode, "uid": file.uid, "gid": file.gid}


def installed(shall: Desired, host: HostDesired, images: Mapping[str, Image], index: str = "i") -> dict[str, Any]:
    """The facts of a host that has all that it shall have."""
    containers = [
        {
            "service": each.name, "name": f"shop-{each.name}-1", "state": "running", "health": "healthy", "exit_code": 0,
            "image": each.tag, "labels": {HASH_LABEL: each.hash},
        }
        for each in host.services.values()
    ]  # fmt: skip
    held = [
        {"id": each.config_digest, "tags": [each.tag], "diff_ids": [layer.diff_id for layer in images[each.ref].layers]}
        for each in host.services.values()
    ]
    done = json.loads(json.dumps(record(shall, host, "acme", index, None))) | {"epoch": 3, "run": "r", "installed": "today"}
    files = {path: found(file) for path, file in host.files.items()}
    return bare(containers=containers, images=held, files=files, network={"loaded": True}, record=done)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True)
SEGMENTS = ("dmz", "internal", "data")


@st.composite
def releases(draw: st.DrawFn, *, acyclic: bool = False) -> Release:
    """Any release: services in segments, flows between them, in from `clients` and anybody, and out to `crm`."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    services = {name: {"x": {"segment": draw(st.sampled_from(SEGMENTS))}} for name in names}
    pairs = [(a, b) for i, a in enumerate(names) for j, b in enumerate(names) if (i < j if acyclic else i != j)]
    ends = [*pairs, *(("clients", name) for name in names), *(("any", name) for name in names), *((n, "crm") for n in names)]
    chosen = draw(st.lists(st.sampled_from(ends), max_size=12, unique=True))
    ports = {name: 8000 + number for number, name in enumerate([*names, "crm"])}
    return release(services, [(source, target, ports[target]) for source, target in chosen])


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """Any site that answers all that `releases` ask: one or two hosts a segment, in one to three networks."""
    hosts = {
        f"{segment}{number}": (f"10.77.{index}.{number}", segment)
        for index, segment in enumerate(SEGMENTS)
        for number in range(1, 1 + draw(st.integers(1, 2)))
    }
    return site(hosts, networks={"clients": {"cidr": ["10.77.50.0/24"]}}, externals={"crm": {"address": "10.77.60.5"}})
