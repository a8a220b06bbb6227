"""A bit flipped at every byte of a small bundle: none gets past the reader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from memory_images import MemoryImages, layer
from vendors import Vendor, make_vendor

from deploybundle.errors import RefusedError
from deploybundle.open import open_bundle, verify_blobs

PARTS = 4


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """As few bytes as a bundle can have that holds an image, a file and both signatures."""
    vendor = make_vendor(tmp_path_factory.mktemp("vendor"))
    vendor.source = MemoryImages({"a:1": [layer({"x": b"y"})]})
    vendor.files = {"compose.yaml": vendor.files["compose.yaml"]}
    vendor.wheels, vendor.tools = {}, {}
    vendor.build()
    return vendor


def flipped(file: int, offset: int) -> None:
    (byte,) = os.pread(file, 1, offset)
    os.pwrite(file, bytes([byte ^ 1 << offset % 8]), offset)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_flipped_bit_is_found_at_every_offset(small: Vendor, tmp_path: Path, part: int) -> None:
    path, keys = tmp_path / "flipped.bundle.tar", [small.signer.public]
    path.write_bytes((small.home / "dist/collector.bundle.tar").read_bytes())
    file = os.open(path, os.O_RDWR)
    verify_blobs(open_bundle(path, keys))
    for offset in range(part, path.stat().st_size, PARTS):
        flipped(file, offset)
        with pytest.raises(RefusedError):
            verify_blobs(open_bundle(path, keys))
        flipped(file, offset)
    os.close(file)
