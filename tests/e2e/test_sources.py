"""Where images come from, and who else can read the bundle: real engines, with the classic and with the containerd store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from layouts import PACKED, Layout
from vendors import APP, BASE, NGINX

from deploybundle.open import open_bundle
from deployctl.hosts.wire import Encoding, loaded_ids, wire
from deployctl.rehearsal.images import ensure, image_of
from deployctl.rehearsal.machines import VM
from places import ROOT, SUFFIX, Vendor

pytestmark = pytest.mark.e2e
COMPOSE = """\
name: shop
x-deployctl:
  version: 1.0.0
  flows: [{from: clients, to: front:8080}]
services:
  front: {image: "shop/front:1", expose: [8080], x-deployctl: {segment: dmz}}
  back: {image: "shop/back:1", x-deployctl: {segment: dmz}}
"""
STORES = {"classic": '{"bridge": "none", "iptables": false}',
          "containerd": '{"bridge": "none", "iptables": false, "features": {"containerd-snapshotter": true}}'}  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """An engine of its own in a container, and where it listens."""

    name: str
    socket: Path

    def run(self, *words: str, stdin: Path | None = None) -> str:
        command = ["docker", "-H", f"unix://{self.socket}", *words]
        with (stdin or Path("/dev/null")).open("rb") as file:
            done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bundle(self, vendor: Vendor, project: Path) -> dict[str, int]:
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = f"unix://{self.socket}"
        try:
            found: dict[str, int] = json.loads(vendor.run("bundle", str(project), "--json").stdout)
        finally:
            os.environ.pop("DOCKER_HOST") if before is None else os.environ.update(DOCKER_HOST=before)
        return found


@pytest.fixture(scope="module", params=STORES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Docker 26.1 of Debian 13."""
    folder, store = tmp_path_factory.mktemp(request.param), request.param
    (folder / "daemon.json").write_text(STORES[store])
    kind = image_of("host", "debian-13", docker=True)
    image = ensure([kind], lambda _: None)[kind]
    name = f"deployctl-e2e{SUFFIX}-{store}"
    subprocess.run(["docker", "rm", "-fv", name], capture_output=True, check=False)
    volumes = ["-v", f"{folder}:/e2e", "-v", "/var/lib/docker", "-v", "/var/lib/containerd"]
    dockerd = ["dockerd", "--config-file", "/e2e/daemon.json", "-H", "unix:///e2e/docker.sock"]
    start = ["docker", "run", "-d", "--name", name, *VM, "--network", "none", *volumes, "--entrypoint", dockerd[0], image]
    subprocess.run([*start, *dockerd[1:]], check=True, capture_output=True)
    one = Engine(store, folder / "docker.sock")
    try:
        for _ in range(300):
            if (
                subprocess.run(["docker", "-H", f"unix://{one.socket}", "info"], capture_output=True, check=False).returncode
                == 0
            ):
                break
            time.sleep(0.1)
        yield one
    finally:
        subprocess.run(["docker", "rm", "-fv", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def seller(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    folder = tmp_path_factory.mktemp("seller")
    one = Vendor(folder / "config", folder)
    one.run("keygen", "--no-passphrase")
    return one


@pytest.fixture
def layout() -> Layout:
    """Two images, one with layers in gzip, one in zstd, their manifests spelled as no deployctl would."""
    one, (gzip, zstd, *_) = Layout(), PACKED
    one.name(one.image([BASE, NGINX], gzip), containerd="docker.io/shop/front:1", ref="1")
    one.name(one.image([BASE, APP], zstd), containerd="docker.io/shop/back:1", ref="1")
    return one


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/compose.yaml").write_text(COMPOSE)
    return tmp_path / "shop"


def test_an_engines_images_are_bundled_and_the_bundle_can_be_loaded_into_it(
    engine: Engine, seller: Vendor, layout: Layout, project: Path, tmp_path: Path
) -> None:
    engine.run("load", stdin=layout.listed("shop/front:1", "shop/back:1").archive(tmp_path / "x.tar"))
    first = engine.bundle(seller, project)
    bundle = open_bundle(ROOT / str(first["path"]), None)
    kept = {ref: image.kept for ref, image in bundle.images.items()}
    assert kept == dict.fromkeys(["shop/front:1", "shop/back:1"], engine.name == "containerd")
    if engine.name == "containerd":  # it has manifests and layers as they were pulled, and so has the bundle
        named = {image.manifest.digest for image in bundle.images.values()}
        assert named == {entry["digest"] for entry in layout.entries}
    bundle.path.touch()
    again = engine.bundle(seller, project)
    assert (again["index"], again["exported"]) == (first["index"], 0)
    engine.run("image", "rm", "-f", "shop/front:1", "shop/back:1")
    assert "Loaded image: shop/front:1" in engine.run("load", stdin=_for_docker(bundle.path, tmp_path))
    layers = json.loads(engine.run("image", "inspect", "-f", "{{json .RootFS.Layers}}", "shop/front:1"))
    assert layers == [layer.diff_id for layer in bundle.images["shop/front:1"].layers]


def _for_docker(bundle: Path, folder: Path) -> Path:
    """What the documented lines hand to `docker load`."""
    page = (ROOT / "docs/reference/bundle-format.md").read_text()
    found = re.search(r"(?s)(mkdir x && tar -xf X\.bundle\.tar -C x && cd x.*?)\| docker load", page)
    assert found
    script = found[1].replace("\n    ", "\n").replace("X.bundle.tar", str(bundle)) + f"> {folder}/load.tar"
    subprocess.run(["bash", "-ec", script], cwd=folder, check=True)
    return folder / "load.tar"


def test_from_a_layout_no_engine_is_needed(seller: Vendor, layout: Layout, project: Path, tmp_path: Path) -> None:
    path = layout.folder(tmp_path / "images")
    os.environ["DOCKER_HOST"] = f"unix://{tmp_path}/nobody.sock"
    try:
        made = json.loads(seller.run("bundle", str(project), "--images", str(path), "--json").stdout)
    finally:
        del os.environ["DOCKER_HOST"]
    shown = json.loads(seller.run("inspect", str(made["path"]), "--json").stdout)["images"]
    assert {one["manifest"] for one in shown.values()} == {entry["digest"] for entry in layout.entries}
    assert all(one["kept"] for one in shown.values())


@pytest.mark.parametrize("encoding", ["raw", "zstd"])
def test_a_host_takes_an_image_that_is_kept_as_others_made_it(
    engine: Engine, seller: Vendor, layout: Layout, project: Path, tmp_path: Path, encoding: Encoding
) -> None:
    path = layout.folder(tmp_path / "images")
    made = json.loads(seller.run("bundle", str(project), "--images", str(path), "--json").stdout)
    bundle = open_bundle(ROOT / str(made["path"]), None)
    for ref, image in bundle.images.items():
        tag = f"{ref}-{encoding}"
        size, stream = wire(image, range(len(image.layers)), encoding, bundle.open, tag=tag)
        (tmp_path / "sent").write_bytes(b"".join(stream))
        assert (tmp_path / "sent").stat().st_size == size
        engine.run("load", stdin=tmp_path / "sent")
        assert engine.run("image", "inspect", "-f", "{{.Id}}", tag).strip() in loaded_ids(image)
