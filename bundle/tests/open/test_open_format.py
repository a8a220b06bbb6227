"""A second reader, from docs/reference/bundle-format.md alone: tarfile, json, hashlib and a zstd decoder; nothing of ours."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from vendors import APP, BASE, NGINX, Vendor

HEAD = "oci-layout index.json deployctl/index.dsse.json deployctl/index.sshsig deployctl/vendor.pub deployctl/padding"


class Second:
    """The second reader."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            entries = tar.getmembers()
            self.content = {entry.name: tar.extractfile(entry).read() for entry in entries}  # type: ignore[union-attr]
        assert [entry.name for entry in entries[:6]] == HEAD.split()
        self.index = json.loads(self.content["index.json"])
        assert self.index["annotations"]["dev.deployctl.head"] == str(entries[6].offset)
        for entry in entries[6:]:
            assert entry.name == "blobs/sha256/" + hashlib.sha256(self.content[entry.name]).hexdigest()

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        data = self.content["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert len(data) == descriptor["size"]
        return data

    def images(self) -> dict[str, list[bytes]]:
        found = [entry for entry in self.index["manifests"] if "artifactType" not in entry]
        return {entry["annotations"]["org.opencontainers.image.ref.name"]: self.layers(entry) for entry in found}

    def layers(self, descriptor: dict[str, Any]) -> list[bytes]:
        manifest = json.loads(self.blob(descriptor))
        raw = [zstandard.ZstdDecompressor().decompress(self.blob(layer)) for layer in manifest["layers"]]
        ids = json.loads(self.blob(manifest["config"]))["rootfs"]["diff_ids"]
        assert ids == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in raw]
        assert [layer["annotations"]["dev.deployctl.raw-size"] for layer in manifest["layers"]] == [str(len(r)) for r in raw]
        return raw

    def members(self, kind: str) -> dict[str, bytes]:
        wanted = f"application/vnd.deployctl.{kind}.v1"
        (found,) = [entry for entry in self.index["manifests"] if entry.get("artifactType") == wanted]
        layers = json.loads(self.blob(found))["layers"]
        return {layer["annotations"]["org.opencontainers.image.title"]: self.blob(layer) for layer in layers}


@pytest.fixture(scope="module")
def path(built: Vendor) -> Path:
    return built.home / "dist/collector.bundle.tar"


def test_a_second_reader_finds_images_files_and_wheels(built: Vendor, path: Path) -> None:
    second = Second(path)
    assert second.images() == {"collector/app:1.0.0": [BASE, APP], "collector/nginx:1.0.0": [BASE, NGINX]}
    assert second.members("files") == {name: file.read_bytes() for name, file in built.files.items()}
    assert second.members("wheels-3.13") == {file.name: file.read_bytes() for file in built.wheels["3.13"]}
    assert second.index["annotations"]["dev.deployctl.release"] == "collector 1.0.0"


def test_the_documented_lines_check_a_bundle_on_a_bare_debian(built: Vendor, path: Path, tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs/reference/bundle-format.md"
    match = re.search(r"\n\n((?:    .*\n)+)\nTrust the key", page.read_text())
    assert match
    (tmp_path / "vendor.pub").write_text(f"{built.signer.public.ssh_line} vendor@example\n")
    lines = match[1].replace("X.bundle.tar", shlex.quote(str(path)))
    done = subprocess.run(["sh", "-e"], input=lines, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Good "deployctl-bundle" signature for vendor' in done.stdout
    assert done.stdout.endswith(": OK\n")


def test_frames_of_layers_make_one_stream(path: Path) -> None:
    second = Second(path)
    manifest = json.loads(second.blob(second.index["manifests"][0]))
    joined = b"".join(second.blob(layer) for layer in manifest["layers"])
    done = subprocess.run(["zstd", "-dc"], input=joined, capture_output=True, check=True)
    assert done.stdout == BASE + APP
