"""Images from a real daemon."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from deploybundle.release import Port
from deploybundle.sources import Config, DaemonUnreachable, DockerImages, ExportFailed, ImageMissing, Layer, LayerUnreadable
from deploybundle.sources.engine import connected, info, saved
from deploybundle.sources.overlay import EngineDisk, _chain

pytestmark = pytest.mark.docker
REFS = [f"deployctl-test/{name}:{os.getpid()}" for name in ("one", "two")]  # tests run in several processes


@pytest.fixture(scope="module")
def two_images() -> Iterator[None]:
    """A daemon that holds two small images with a shared layer."""
    client = docker.APIClient(version="auto")
    base = io.BytesIO()
    with tarfile.open(fileobj=base, mode="w") as tar:
        member = tarfile.TarInfo("shared")
        member.size = 6
        tar.addfile(member, io.BytesIO(b"shared"))
    client.import_image_from_data(base.getvalue(), repository="deployctl-test/base", tag=str(os.getpid()))
    for index, ref in enumerate(REFS):
        text = f"FROM deployctl-test/base:{os.getpid()}\nENV N={index}\nEXPOSE 80 53/udp\n"
        list(client.build(fileobj=io.BytesIO(text.encode()), tag=ref, decode=True, rm=True, forcerm=True))
    yield
    for ref in [*REFS, f"deployctl-test/base:{os.getpid()}"]:
        client.remove_image(ref, force=True)
    client.close()


def test_facts_of_an_image(two_images: None) -> None:
    one, two = DockerImages().inspect(REFS)
    assert one.diff_ids == two.diff_ids and one.config_digest != two.config_digest
    assert one.exposed == (Port(53, "udp"), Port(80))


def exported(images: DockerImages) -> tuple[set[str], list[str]]:
    """What an export brings to one who takes all: configs and layers, in order."""
    configs, layers = set(), list[str]()
    for part in images.export(images.inspect(REFS), layers):
        if isinstance(part, Config):
            configs.add(part.digest)
        else:
            layers.append("sha256:" + hashlib.sha256(part.stream.read()).hexdigest())
    return configs, layers


def test_the_engine_s_disk_brings_a_shared_layer_once(two_images: None) -> None:
    images = DockerImages()
    one, two = images.inspect(REFS)
    assert exported(images) == ({one.config_digest, two.config_digest}, list(one.diff_ids))


@pytest.mark.parametrize("way", ["unix", "http+unix"])  # by the socket; by Docker's SDK
def test_its_api_brings_the_same(two_images: None, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"{way}:///var/run/docker.sock")
    images = DockerImages(disk=False)
    one, two = images.inspect(REFS)
    configs, layers = exported(images)
    assert configs == {one.config_digest, two.config_digest}
    assert set(layers) == set(one.diff_ids)


def test_a_layer_whose_files_were_changed_comes_by_the_api(two_images: None, tmp_path: Path) -> None:
    real = EngineDisk.find(info(connected()))
    if not real:
        pytest.skip("the engine's disk is not ours to read")
    one, _ = DockerImages().inspect(REFS)
    disk = EngineDisk(tmp_path)
    shutil.copytree(real.root / "image/overlay2/layerdb/sha256" / _chain(one.diff_ids), disk._layers / _chain(one.diff_ids))
    images = DockerImages()
    images._disk = disk
    part = disk.layer(one.diff_ids)
    assert part and part.diff_id == one.diff_ids[-1]
    with pytest.raises(LayerUnreadable):
        part.stream.read()
    have: set[str] = set()
    for layer in images.export([one], have):
        if isinstance(layer, Layer):
            with contextlib.suppress(LayerUnreadable):
                have.add("sha256:" + hashlib.sha256(layer.stream.read()).hexdigest())
    assert have == set(one.diff_ids)


def test_all_missing_images_are_named_with_their_services(two_images: None) -> None:
    with pytest.raises(ImageMissing) as caught:
        DockerImages().inspect(["gone/a:1", REFS[0], "gone/b"], used_by={"gone/a:1": ["api", "worker"]})
    assert caught.value.message == "no such image: gone/a:1 (service api, worker); gone/b"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["unix", "http+unix"])
def test_a_daemon_that_does_not_answer_is_said(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"{way}:///nonexistent/docker.sock")
    with pytest.raises(DaemonUnreachable, match="does not answer"):
        DockerImages()
    gc.collect()  # the SDK leaves the socket that it could not connect


def test_what_the_engine_refuses_is_told_in_its_words(two_images: None) -> None:
    with (
        pytest.raises(ExportFailed, match="(?i)not exist|no such image"),
        saved(connected(), ["deployctl-test/none:1"]) as answer,
    ):
        answer()
