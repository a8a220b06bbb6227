"""A second reader, from docs/reference/bundle-format.md alone: tarfile, json, hashlib and a zstd decoder; nothing of ours."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shlex
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from layouts import Layout
from memory_images import layer
from vendors import APP, BASE, NGINX, Vendor, noise

from deploybundle.sources import Layouts, read_layout

HEAD = "oci-layout index.json deployctl/index.dsse.json deployctl/index.sshsig deployctl/vendor.pub deployctl/padding"


def unpacked(data: bytes) -> tuple[list[tarfile.TarInfo], dict[str, bytes]]:
    """A tar's entries and their content."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entries = tar.getmembers()
        return entries, {entry.name: tar.extractfile(entry).read() for entry in entries}  # type: ignore[union-attr]


class Second:
    """The second reader."""

    def __init__(self, data: bytes) -> None:
        entries, self.content = unpacked(data)
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
        raw = [self.layer(layer, one) for layer, one in zip(manifest["layers"], self.diff_ids(manifest), strict=True)]
        assert self.diff_ids(manifest) == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in raw]
        kept = descriptor["annotations"].get("dev.deployctl.raw-sizes")
        sizes = kept.split(",") if kept else [layer["annotations"]["dev.deployctl.raw-size"] for layer in manifest["layers"]]
        assert sizes == [str(len(layer)) for layer in raw]
        return raw

    def diff_ids(self, manifest: dict[str, Any]) -> list[str]:
        found: list[str] = json.loads(self.blob(manifest["config"]))["rootfs"]["diff_ids"]
        return found

    def layer(self, descriptor: dict[str, Any], diff_id: str) -> bytes:
        blob = self.blob(descriptor)
        if descriptor["mediaType"].endswith("zstd"):
            return zstandard.ZstdDecompressor().decompress(blob)
        return gzip.decompress(blob) if descriptor["mediaType"].endswith("gzip") else blob

    def members(self, kind: str) -> dict[str, bytes]:
        wanted = f"application/vnd.deployctl.{kind}.v1"
        (found,) = [entry for entry in self.index["manifests"] if entry.get("artifactType") == wanted]
        layers = json.loads(self.blob(found))["layers"]
        return {layer["annotations"]["org.opencontainers.image.title"]: self.blob(layer) for layer in layers}


@pytest.fixture(scope="module")
def path(built: Vendor) -> Path:
    return built.home / "dist/collector.bundle.tar"


def test_a_second_reader_finds_images_files_and_wheels(built: Vendor, path: Path) -> None:
    second = Second(path.read_bytes())
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
    second = Second(path.read_bytes())
    manifest = json.loads(second.blob(second.index["manifests"][0]))
    joined = b"".join(second.blob(layer) for layer in manifest["layers"])
    done = subprocess.run(["zstd", "-dc"], input=joined, capture_output=True, check=True)
    assert done.stdout == BASE + APP


def test_a_second_reader_reads_an_image_that_others_made(vendor: Vendor, tmp_path: Path) -> None:
    one = Layout()
    one.name(one.image([BASE, NGINX], docker=True), ref="collector/nginx:1.0.0")
    source = Layouts([read_layout(one.folder(tmp_path / "layout"))], lambda: vendor.source)
    path = vendor.build(images=source.inspect(sorted(vendor.source.images)), source=source).path
    assert Second(path.read_bytes()).images()["collector/nginx:1.0.0"] == [BASE, NGINX]


def test_a_second_reader_joins_parts(vendor: Vendor) -> None:
    path = vendor.build("x.bundle.tar.parts", split=20_000).path
    head, *lines = path.read_text().splitlines()
    said = re.fullmatch(r"# deployctl parts 1: (\d+) bytes, (\d+) each", head)
    data = b"".join((path.parent / line.split("  ")[1]).read_bytes() for line in lines)
    assert said and len(data) == int(said[1]) and int(said[2]) == 20_000
    assert Second(data).images() == {"collector/app:1.0.0": [BASE, APP], "collector/nginx:1.0.0": [BASE, NGINX]}


class Delta(Second):
    """The second reader, of a delta and of the bundle that it counts on."""

    def __init__(self, data: bytes, base: Second) -> None:
        first, *_, last = unpacked(data)[0]
        large = unpacked(data)[1]
        packed = large.pop(last.name)
        assert (first.name, first.size) == ("deployctl/delta", 0)
        assert last.name == f"deployctl/delta.{hashlib.sha256(packed).hexdigest()}.zst"
        small = unpacked(zstandard.ZstdDecompressor().decompress(packed))[1]
        self.content = {**base.content, **large, **small}
        self.index, self.said, self.base = json.loads(small["index.json"]), json.loads(small["deployctl/delta.json"]), base
        assert self.said["index"] == "sha256:" + hashlib.sha256(small["index.json"]).hexdigest()
        carried = {"sha256:" + name.rpartition("/")[2] for name in {**large, **small} if name.startswith("blobs/")}
        assert carried == set(self.said["blobs"])

    def layer(self, descriptor: dict[str, Any], diff_id: str) -> bytes:
        if "blobs/sha256/" + descriptor["digest"][7:] in self.content:
            return super().layer(descriptor, diff_id)
        how = self.said["patches"][diff_id]
        old = next(raw for found in self.base.images().values() for raw in found
                   if "sha256:" + hashlib.sha256(raw).hexdigest() == how["from"])  # fmt: skip
        return patched(self.content["blobs/sha256/" + how["blob"][7:]], old)


def patched(patch: bytes, old: bytes) -> bytes:
    """A layer's tar out of another's."""
    assert patch.startswith(b"deployctl-patch-1\n")
    old_size, new_size, *sizes = struct.unpack(">5Q", patch[18:58])
    assert old_size == len(old) and len(patch) == 58 + sum(sizes)
    starts = [58, 58 + sizes[0], 58 + sizes[0] + sizes[1]]
    frames = [patch[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    control, diff, extra = (zstandard.ZstdDecompressor().decompress(one, max_output_size=1 << 30) for one in frames)
    numbers, value, shift = [], 0, 0
    for byte in control:
        value, shift = value | (byte & 127) << shift, shift + 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    made, at, taken, added = bytearray(), 0, 0, 0
    for take, move, copy, add in zip(*[iter([*numbers, *[0] * (-len(numbers) % 4)])] * 4, strict=True):
        made += extra[taken : taken + take]
        at += -(move + 1) // 2 if move % 2 else move // 2
        made += old[at : at + copy]
        made += bytes(one + other & 255 for one, other in zip(old[at + copy :], diff[added : added + add], strict=False))
        taken, at, added = taken + take, at + copy + add, added + add
    assert len(made) == new_size
    return bytes(made)


def test_a_second_reader_makes_a_delta_whole(vendor: Vendor) -> None:
    large = noise(5, 90_000)
    old, new = layer({"lib": large}), layer({"lib": large[:40_000] + b"changed" + large[40_000:], "more": noise(6, 900)})
    vendor.source.images = {"collector/app:1": [BASE, old]}
    base = Second(vendor.build("old.bundle.tar").path.read_bytes())
    vendor.source.images = {"collector/app:2": [BASE, new]}
    path = vendor.build("new.delta.tar", since=[vendor.open("old.bundle.tar")]).path
    second = Delta(path.read_bytes(), base)
    assert second.said["patches"] and path.stat().st_size < 20_000
    assert second.images() == {"collector/app:2": [BASE, new]}
    assert second.members("files") == {name: file.read_bytes() for name, file in vendor.files.items()}
