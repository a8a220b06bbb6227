"""Images from a real daemon."""

from __future__ import annotations

import gc
import hashlib
import io
import tarfile
from collections.abc import Iterator

import docker
import pytest

from deploybundle.release import Port
from deploybundle.sources import Config, DaemonUnreachable, DockerImages, ImageMissing

pytestmark = pytest.mark.docker
REFS = ["deployctl-test/one:1", "deployctl-test/two:1"]


@pytest.fixture(scope="module")
def client() -> Iterator[docker.APIClient]:
    """A daemon that holds two small images with a shared layer."""
    client = docker.APIClient(version="auto")
    base = io.BytesIO()
    with tarfile.open(fileobj=base, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("shared"))
    client.import_image_from_data(base.getvalue(), repository="deployctl-test/base", tag="1")
    for index, ref in enumerate(REFS):
        text = f"FROM deployctl-test/base:1\nENV N={index}\nEXPOSE 80 53/udp\n"
        list(client.build(fileobj=io.BytesIO(text.encode()), tag=ref, decode=True, rm=True, forcerm=True))
    yield client
    for ref in [*REFS, "deployctl-test/base:1"]:
        client.remove_image(ref, force=True)
    client.close()


def test_facts_of_an_image(client: docker.APIClient) -> None:
    one, two = DockerImages(client).inspect(REFS)
    assert one.diff_ids == two.diff_ids and one.config_digest != two.config_digest
    assert one.exposed == (Port(53, "udp"), Port(80))


def test_one_export_brings_a_shared_layer_once(client: docker.APIClient) -> None:
    images = DockerImages(client)
    configs, layers = set(), []
    for part in images.export(REFS):
        if isinstance(part, Config):
            configs.add(part.digest)
        else:
            layers.append("sha256:" + hashlib.sha256(part.stream.read()).hexdigest())
    one, two = images.inspect(REFS)
    assert configs == {one.config_digest, two.config_digest}
    assert tuple(layers) == one.diff_ids


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
