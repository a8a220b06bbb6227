"""`docker save` archives as they stream: of engines before 25, and from 25 on."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

import pytest

from deploybundle.sources import Config, ExportFailed
from deploybundle.sources.archive import read_archive


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tar(members: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


LAYERS = [_tar({"etc/a": b"a" * 5000}), _tar({"{odd name": b"x"}), bytes(1024)]
CONFIG = json.dumps({"os": "linux", "rootfs": {"diff_ids": [f"sha256:{_sha(layer)}" for layer in LAYERS]}}).encode()


def _old() -> bytes:
    layers: dict[str, bytes | str] = {f"{index:064x}/layer.tar": layer for index, layer in enumerate(LAYERS)}
    again = {f"{9:064x}/layer.tar": f"../{0:064x}/layer.tar", f"{9:064x}/json": b"{}"}
    return _tar({**layers, **again, f"{_sha(CONFIG)}.json": CONFIG, "manifest.json": b"[]", "repositories": b"{}"})


def _layout() -> bytes:
    blobs = [*LAYERS, CONFIG, json.dumps({"config": {}, "layers": []}).encode()]
    named = {f"blobs/sha256/{_sha(blob)}": blob for blob in blobs}
    return _tar({**dict(sorted(named.items())), "index.json": b"{}", "manifest.json": b"[]", "oci-layout": b"{}"})


ARCHIVES = {
    "before 25": _old(),
    "from 25 on": _layout(),
}


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES)
def test_every_layer_and_config_comes_once(archive: bytes) -> None:
    layers, configs = [], []
    for part in read_archive(io.BytesIO(archive)):
        if isinstance(part, Config):
            configs.append(part)
        else:
            layers.append(part.stream.read())
            assert part.size == len(layers[-1])
    assert sorted(map(_sha, layers)) == sorted(map(_sha, LAYERS))
    assert configs == [Config(f"sha256:{_sha(CONFIG)}", CONFIG)]


def test_a_layer_that_nobody_reads_is_passed_over() -> None:
    assert sum(isinstance(part, Config) for part in read_archive(io.BytesIO(ARCHIVES["before 25"]))) == 1


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.8])
def test_a_stream_that_breaks_off_is_noticed(archive: bytes, part: float) -> None:
    whole = archive[: archive.index(b"manifest.json") // 512 * 512]
    with pytest.raises(ExportFailed):
        for piece in read_archive(io.BytesIO(whole[: int(len(whole) * part)])):
            if not isinstance(piece, Config):
                piece.stream.read()
