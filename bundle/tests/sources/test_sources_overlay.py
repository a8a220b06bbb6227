"""A layer's tar out of the engine's own files and its record of the rest (tar-split)."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybundle.sources import LayerUnreadable
from deploybundle.sources.overlay import EngineDisk, _chain, _Joined

DIFF_ID = "sha256:" + "a" * 64
HEADS = [b"\0" * 512, b"\xff" * 700, b"end"]


def disk(root: Path, files: dict[str, bytes]) -> EngineDisk:
    """An engine's disk with one layer: between raw pieces the contents of these files."""
    made = EngineDisk(root)
    folder, content = made._layers / _chain([DIFF_ID]), root / "overlay2" / "c1" / "diff"
    folder.mkdir(parents=True)
    lines = list[dict[str, Any]]()
    for head, (name, data) in zip(HEADS, files.items(), strict=False):
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_bytes(data)
        lines.append({"type": 2, "payload": base64.b64encode(head).decode()})
        lines.append({"type": 1, "name": f"./{name}", "size": len(data)})
    lines.append({"type": 2, "payload": base64.b64encode(HEADS[-1]).decode()})
    (folder / "cache-id").write_text("c1")
    (folder / "tar-split.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    return made


FILES = {"etc/hosts": b"127.0.0.1", "usr/bin/large": b"x" * (3 << 20)}
WHOLE = HEADS[0] + FILES["etc/hosts"] + HEADS[1] + FILES["usr/bin/large"] + HEADS[2]


@pytest.mark.parametrize("size", [-1, 100, 512, 1 << 20, 5 << 20])
def test_a_layer_is_its_record_and_its_files_in_order(tmp_path: Path, size: int) -> None:
    layer = disk(tmp_path, FILES).layer([DIFF_ID])
    assert layer and layer.size == len(WHOLE)
    read = list(iter(lambda: layer.stream.read(size), b""))
    assert b"".join(read) == WHOLE
    assert size < 0 or max(map(len, read)) <= size


@pytest.mark.parametrize("found", [b"x", b"x" * (4 << 20), None])
def test_a_file_that_is_shorter_or_longer_or_gone_is_told(tmp_path: Path, found: bytes | None) -> None:
    layer = disk(tmp_path, FILES).layer([DIFF_ID])
    path = tmp_path / "overlay2" / "c1" / "diff" / "usr/bin/large"
    path.write_bytes(found) if found else path.unlink()
    assert layer
    with pytest.raises(LayerUnreadable):
        layer.stream.read()


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.lists(st.integers(1, 12), min_size=1, max_size=40))
def test_pieces_joined_are_the_same_bytes_however_they_are_read(pieces: list[bytes], sizes: list[int]) -> None:
    stream, found = _Joined(iter(pieces)), list[bytes]()
    for size in [*sizes, *[1] * sum(map(len, pieces))]:
        found.append(stream.read(size))
        assert len(found[-1]) <= size
    assert b"".join(found) == b"".join(pieces)
