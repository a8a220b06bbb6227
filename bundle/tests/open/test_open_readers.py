"""Other people's programs read our bundles: skopeo, oras and cosign, the real ones, which `scripts/readers` brings.

`docker load` does so in tests/e2e/test_sources.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from layouts import Layout
from memory_images import digest
from vendors import BASE, NGINX, Vendor, make_vendor

from deploybundle import trust
from deploybundle.sources import Layouts, read_layout

ROOT = Path(__file__).parents[3]
PATH = f"{ROOT / '.cache/readers'}:{os.environ['PATH']}"
OURS, KEPT = "collector/app:1.0.0", "collector/nginx:1.0.0"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """A reader's answer. Skipped where the reader is not there: `make test-unit` brings it."""
    if shutil.which(str(command[0]), path=PATH) is None:
        pytest.skip(f"no {command[0]} here: scripts/readers")
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "PATH": PATH, "HOME": "/tmp"})
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A bundle of two images, one of them kept as others made it."""
    home = tmp_path_factory.mktemp("readers")
    one, layout = make_vendor(home), Layout()
    layout.name(layout.image([BASE, NGINX]), ref=KEPT)
    source = Layouts([read_layout(layout.folder(home / "layout"))], lambda: one.source)
    one.build(images=source.inspect([OURS, KEPT]), source=source)
    return one


@pytest.fixture(scope="module")
def bundle(vendor: Vendor) -> Path:
    return vendor.home / "dist/collector.bundle.tar"


@pytest.fixture(scope="module")
def unpacked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as a folder, by tar."""
    folder = tmp_path_factory.mktemp("unpacked")
    run("tar", "-xf", bundle, "-C", folder)
    return folder


@pytest.mark.parametrize("ref", [OURS, KEPT])
def test_skopeo_reads_images_out_of_the_tar_itself_and_out_of_the_folder(
    vendor: Vendor, bundle: Path, unpacked: Path, tmp_path: Path, ref: str
) -> None:
    config = vendor.open().images[ref].config
    for transport in (f"oci-archive:{bundle}", f"oci:{unpacked}"):
        assert json.loads(run("skopeo", "inspect", "--config", "--raw", f"{transport}:{ref}")) == json.loads(config)
        out = tmp_path / transport.partition(":")[0]
        run("skopeo", "--insecure-policy", "copy", "-q", f"{transport}:{ref}", f"dir:{out}")
        named = {layer["digest"] for layer in json.loads((out / "manifest.json").read_text())["layers"]}
        assert named == {layer.blob.digest for layer in vendor.open().images[ref].layers}


@pytest.mark.parametrize("ref", [OURS, KEPT])
def test_oras_reads_images_out_of_the_folder(vendor: Vendor, unpacked: Path, tmp_path: Path, ref: str) -> None:
    found = vendor.open().images[ref]
    manifest = run("oras", "manifest", "fetch", "--oci-layout", f"{unpacked}@{found.manifest.digest}")
    assert digest(manifest.encode()) == found.manifest.digest
    run("oras", "copy", "--from-oci-layout", "--to-oci-layout", f"{unpacked}@{found.manifest.digest}", f"{tmp_path / 'copy'}:x")
    copied = {path.name for path in (tmp_path / "copy/blobs/sha256").iterdir()}
    assert copied >= {found.config_digest[7:], *(layer.blob.digest[7:] for layer in found.layers)}


@pytest.mark.parametrize("algorithm", ["p256", "ed25519"])
def test_cosign_verifies_the_envelope(tmp_path: Path, algorithm: trust.Algorithm) -> None:
    one = make_vendor(tmp_path)
    trust.generate(tmp_path / "key", None, algorithm)
    one.signer = trust.load_private(tmp_path / "key", None)
    one.build()
    run("tar", "-xf", tmp_path / "dist/collector.bundle.tar", "-C", tmp_path)
    (tmp_path / "key.pem").write_bytes(one.signer.public.pem)
    verify = ["cosign", "verify-blob-attestation", "--key", "key.pem", "--signature", "deployctl/index.dsse.json",
              "--type", "https://deployctl.dev/bundle/v1", "--insecure-ignore-tlog", "index.json"]  # fmt: skip
    run(*verify, cwd=tmp_path)
    index = tmp_path / "index.json"
    index.write_bytes(index.read_bytes().replace(b"1.0.0", b"1.0.1", 1))
    with pytest.raises(AssertionError, match="digest"):
        run(*verify, cwd=tmp_path)
