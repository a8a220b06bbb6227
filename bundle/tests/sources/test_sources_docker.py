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
from deploybundle.sources import Config, DaemonUnreachable, DockerImages, ImageMissing, Layer, LayerUnreadable
from deploybundle.sources.overlay import EngineDisk, _chain

pytestmark = pytest.mark.docker
REFS = [f"deployctl-test/{name}:{os.getpid()}" for name in ("one", "two")]  # tests run in several processes


@pytest.fixture(scope="module")
def client() -> Iterator[docker.APIClient]:
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
    yield client
    for ref in [*REFS, f"deployctl-test/base:{os.getpid()}"]:
        client.remove_image(ref, force=True)
    client.close()


def test_facts_of_an_image(client: docker.APIClient) -> None:
    one, two = DockerImages(client).inspect(REFS)
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


def test_the_engine_s_disk_brings_a_shared_layer_once(client: docker.APIClient) -> None:
    images = DockerImages(client)
    one, two = images.inspect(REFS)
    assert exported(images) == ({one.config_digest, two.config_digest}, list(one.diff_ids))


def test_its_api_brings_the_same(client: docker.APIClient) -> None:
    images = DockerImages(client, disk=False)
    one, two = images.inspect(REFS)
    configs, layers = exported(images)
    assert configs == {one.config_digest, two.config_digest}
    assert set(layers) == set(one.diff_ids)


def test_a_layer_whose_files_were_changed_comes_by_the_api(client: docker.APIClient, tmp_path: Path) -> None:
    info = client.info()
    real = EngineDisk.find(info)
    if not real:
        pytest.skip("the engine's disk is not ours to read")
    one, _ = DockerImages(client).inspect(REFS)
    disk = EngineDisk(tmp_path)
    shutil.copytree(real.root / "image/overlay2/layerdb/sha256" / _chain(one.diff_ids), disk._layers / _chain(one.diff_ids))
    images = DockerImages(client)
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


def test_all_missing_images_are_named_with_their_services(client: docker.APIClient) -> None:
    with pytest.raises(ImageMissing) as caught:
        DockerImages(client).inspect(["gone/a:1", REFS[0], "gone/b"], used_by={"gone/a:1": ["api", "worker"]})
    assert caught.value.message == "no such image: gone/a:1 (service api, worker); gone/b"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_daemon_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(DaemonUnreachable, match="does not answer"):
        DockerImages()
    gc.collect()  # the SDK leaves the socket that it could not connect
