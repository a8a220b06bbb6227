"""What a bare host gets: what it lacks with what that needs, and never in the place of what is there."""

from __future__ import annotations

import io
from typing import Any

import pytest
from sites import ONE, bare, image, release, site, sources

from deploybundle.open import INDEX, Descriptor, Package, Repository
from deployctl.desired import desired
from deployctl.hosts.pool import pool, pool_size
from deployctl.plan import plan
from deployctl.plan.packages import packages_step
from deployctl.verify import preflight

NEEDS = {
    "docker.io": ("containerd", "libc6", "iptables"), "containerd": ("runc",), "runc": ("libc6",), "docker-cli": ("libc6",),
    "docker-compose": (), "iptables": ("libxtables12",), "libxtables12": (), "nftables": ("libnftables1",), "libnftables1": (),
}  # fmt: skip


def repository(target: str = "debian-13", version: str = "26.1.5+dfsg1-9") -> Repository:
    packages = {
        name: Package(name, version if name == "docker.io" else "1", f"{name}.deb", 1000 + len(name), 4096, needs)
        for name, needs in NEEDS.items()
    }
    files = {name: Descriptor("f", f"sha256:{name}", 500, {}) for name in INDEX}
    files |= {each.file: Descriptor("f", f"sha256:{each.name}", each.size, {}) for each in packages.values()}
    return Repository(target, packages, files)


REPOSITORIES = {"debian-13": repository(), "debian-12": repository("debian-12", "20.10.24+dfsg1-1")}
TRIXIE: dict[str, Any] = {"os": {"id": "debian", "version": "13"}, "packages": {"libc6": "2.41"}}
NO_ENGINE = {"docker": {"version": "", "problem": "no Docker engine", "zstd_ok": False, "root_dir": ""}, "compose": ""}
NO_TOOLS = {"tools": {"nftables": False, "iptables": False}}


def names(**facts: Any) -> tuple[str, ...] | None:
    step = packages_step(bare(**{**TRIXIE, **facts}), REPOSITORIES)
    return step and step.names


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({}, None),
        ({**NO_ENGINE, **NO_TOOLS}, ("docker.io", "docker-cli", "docker-compose", "iptables", "nftables")),
        (NO_TOOLS, ("iptables", "nftables")),
        ({"compose": ""}, ("docker-compose",)),
        ({"compose": "", "packages": {"docker.io": "26"}}, ("docker-cli", "docker-compose")),
        ({"compose": "", "packages": {"docker-ce": "29", "docker-ce-cli": "29"}}, ("docker-compose",)),
        ({"compose": "", "packages": {"docker-ce": "29", "docker-compose": "1.29.2-3"}}, None),
        ({**NO_ENGINE, "packages": {"docker-ce": "5:29.0"}}, ("docker-compose",)),
        ({**NO_ENGINE, "packages": {"podman-docker": "5.4"}}, ("docker-compose",)),
        ({**NO_ENGINE, "os": {"id": "ubuntu", "version": "24.04"}}, None),
    ],
)
def test_what_is_lacking_is_brought_and_what_is_there_never_replaced(facts: dict[str, Any], wanted: tuple[str, ...]) -> None:
    assert names(**facts) == wanted


def test_only_what_the_host_lacks_is_sent_with_what_that_needs() -> None:
    step = packages_step(bare(**{**TRIXIE, **NO_TOOLS, "packages": {"libxtables12": "1", "libnftables1": "0"}}), REPOSITORIES)
    assert step is not None
    assert step.files == (*INDEX, "iptables.deb", "libnftables1.deb", "nftables.deb")
    assert step.engine == ""


def test_the_bytes_that_the_plan_says_are_those_that_are_sent() -> None:
    sizes = [0, 1, 511, 512, 513, 100_000]
    contents = {f"sha256:{number}": bytes(size) for number, size in enumerate(sizes)}

    class Blobs:
        def open(self, digest: str) -> Any:
            return io.BytesIO(contents[digest])

    files = [(f"{digest[-1]}.deb", Descriptor("f", digest, len(data), {})) for digest, data in contents.items()]
    assert len(b"".join(pool(Blobs(), files))) == pool_size(sizes)


@pytest.mark.parametrize(("target", "encoding"), [("13", "zstd"), ("12", "raw")])
def test_images_are_planned_for_the_engine_that_will_be_there(target: str, encoding: str) -> None:
    shop = release({"api": {}}, [("any", "api", 8000)])
    given = sources(shop)
    shall = desired(shop, site(ONE), given)
    facts = bare(**{**TRIXIE, **NO_ENGINE, **NO_TOOLS, "os": {"id": "debian", "version": target}})
    steps = plan(shall, {"srv1": facts}, given.images, "acme", "b", "i", REPOSITORIES)
    host = steps.hosts["srv1"]
    assert host.packages is not None and host.packages.target == f"debian-{target}"
    assert host.encoding == encoding
    assert steps.size == host.packages.size + sum(step.size for step in host.images)
    assert list(preflight(shall, steps, {"srv1": facts}, given.images, "172.30.0.0/20")) == []


def test_a_disk_too_small_for_the_packages_is_told_before() -> None:
    shop = release({"api": {}}, [("any", "api", 8000)])
    given = sources(shop)
    shall = desired(shop, site(ONE), given)
    facts = bare(**{**TRIXIE, **NO_ENGINE, **NO_TOOLS, "free": bare()["free"] | {"docker": 256 * 2**20}})
    steps = plan(shall, {"srv1": facts}, {**given.images, "x": image("x")}, "acme", "b", "i", REPOSITORIES)
    assert [type(one).code for one in preflight(shall, steps, {"srv1": facts}, given.images, "172.30.0.0/20")] == ["host-disk"]
