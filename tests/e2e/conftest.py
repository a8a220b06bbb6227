"""A vendor's machine (this one) and clients' sites, each made once for all tests."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from deployctl import rehearsal
from deployctl.rehearsal.limits import INSTANCES
from deployctl.site import load_site
from places import NETWORKS, ROOT, SUFFIX, Place, Vendor, moved
from shops import Shop, project

before = ""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each rehearsed machine takes inotify instances of one pool, which is small on a fresh Debian; as before afterwards."""
    global before
    if not hasattr(session.config, "workerinput"):
        before = INSTANCES.read_text()
        INSTANCES.write_text(str(max(2048, int(before))))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        INSTANCES.write_text(before)


class BySite(LoadScopeScheduling):  # type: ignore[misc]
    """A site is one process's: the modules that ask for it run there, in their order; any other where there is time."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(ROOT / nodeid.partition("::")[0])


@functools.cache
def scope(module: Path) -> str:
    asked = re.search(r"\b(acme|globex|shop): (Place|Shop)", module.read_text())
    return {"shop": "acme"}.get(asked[1], asked[1]) if asked else module.stem


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySite:
    return BySite(config, log)


@pytest.fixture(scope="session")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A vendor with a key, and the product's two releases on the medium."""
    home, medium = tmp_path_factory.mktemp("config"), tmp_path_factory.mktemp("medium")
    medium.chmod(0o755)
    one = Vendor(home, medium)
    one.run("keygen", "--no-passphrase")
    shutil.copy(home / "deployctl" / "signing.key.pub", medium / "vendor.pub")
    with alone("images"):
        for version in ("1.0.0", "1.1.0"):
            subprocess.run([ROOT / "app" / "scripts" / "build-images", version], check=True, capture_output=True)
        one.bundle(ROOT / "app")
        one.bundle(changed(tmp_path_factory.mktemp("next"), "1.0.0", "1.1.0"))
    return one


@contextlib.contextmanager
def alone(what: str) -> Iterator[None]:
    """Image tags belong to the engine, which suites of several checkouts share: one builds and bundles at a time."""
    with Path(tempfile.gettempdir(), f"deployctl-e2e-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def changed(folder: Path, before: str, after: str) -> Path:
    """The product's project with another version of its image."""
    project = folder / "app"
    project.mkdir()
    shutil.copytree(ROOT / "app" / "config", project / "config")
    text = (ROOT / "app" / "compose.yaml").read_text()
    for word in ("collector/app:", "version: "):
        text = text.replace(f"{word}{before}", f"{word}{after}")
    (project / "compose.yaml").write_text(text)
    return project


def raised(like: str, vendor: Vendor, folder: Path) -> Iterator[Place]:
    """A site that is up for as long as it is needed."""
    client = f"{like}-e2e{SUFFIX}"
    site = load_site(moved(client, like, NETWORKS[like], folder))
    flows = rehearsal.read_flows(site, ROOT / "app")
    rehearsal.down(client, site.folder)
    rehearsal.up(site, flows, medium=vendor.medium)
    try:
        yield Place(site)
    finally:
        rehearsal.down(client, site.folder)


@pytest.fixture(scope="session")
def acme(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The site with four segments, its deploy node ready."""
    for place in raised("acme", vendor, tmp_path_factory.mktemp("inventories")):
        place.prepare("collector-1.0.0.bundle.tar")
        yield place


@pytest.fixture(scope="session")
def globex(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The site with one host, its deploy node ready."""
    for place in raised("globex", vendor, tmp_path_factory.mktemp("inventories")):
        place.prepare("collector-1.0.0.bundle.tar")
        yield place


@pytest.fixture(scope="module")
def shop(acme: Place, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A clean site, and on the medium a release that works, one that never gets healthy, one whose migration fails.

    The deploy node's inventory, its secrets and what it remembers are as before afterwards.
    """
    folder = tmp_path_factory.mktemp("shop")
    vendor.bundle(project(folder / "good", "1.0.0"))
    vendor.bundle(project(folder / "sick", "1.1.0", app="[sh, -c, 'echo the till is jammed; exit 3']"))
    stuck = "[sh, -c, 'echo the shelves do not fit; exit 4']"
    vendor.bundle(project(folder / "stuck", "1.2.0", migrate=stuck, image="collector/nginx:1.26"))
    acme.reset()
    acme.deploy("rm -rf before && cp -a inventories before")
    yield Shop(acme)
    acme.deploy(f"rm -rf inventories && mv before inventories && deployctl trust hosts --client {acme.client} --replace --yes")
