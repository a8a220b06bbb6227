"""Each trick that a file can play, with what it is refused as: the message, the error's code and the exit code."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from forger import Forger
from vendors import Vendor

from deploybundle.errors import RefusedError
from deploybundle.open import extract_files, open_bundle, verify_blobs
from deploybundle.open.tar import header, padding

TITLE = "org.opencontainers.image.title"


def entry(name: str, data: bytes = b"", form: int = tarfile.PAX_FORMAT, **more: object) -> bytes:
    """An entry as Python's tarfile writes it, which is not as we do."""
    found = tarfile.TarInfo(name)
    found.size = len(data)
    for key, value in more.items():
        setattr(found, key, value)
    return found.tobuf(form) + data + bytes(padding(len(data)))


def ours(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + data + bytes(padding(len(data)))


BLOB = "blobs/sha256/" + "0" * 64
MORE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a name that leaves the folder": (lambda _: ours("../../etc/cron.d/x", b"evil"), "expected a blob, once, got '../../etc/"),
    "an absolute name": (lambda _: ours("/etc/passwd", b""), "expected a blob, once, got '/etc/passwd'"),
    "a symbolic link": (lambda _: entry(BLOB, type=tarfile.SYMTYPE, linkname="/etc/shadow"), "header"),
    "a hard link": (lambda _: entry(BLOB, type=tarfile.LNKTYPE, linkname="index.json"), "header"),
    "a device": (lambda _: entry(BLOB, type=tarfile.BLKTYPE, devmajor=8, devminor=0), "header"),
    "a pipe": (lambda _: entry(BLOB, type=tarfile.FIFOTYPE), "header"),
    "a folder": (lambda _: entry("blobs", type=tarfile.DIRTYPE), "header"),
    "a blob twice": (lambda data: ours(*_first(data)), "expected a blob, once"),
    "a blob more than the index names": (lambda _: ours(BLOB, b"x"), "expected none, got 1 bytes"),
    "a PAX header with a size": (lambda _: entry(BLOB, b"x", pax_headers={"size": "9999"}), "header"),
    "a PAX header with a path": (lambda _: entry(BLOB, b"x", pax_headers={"path": "index.json"}), "header"),
    "a global PAX header": (lambda _: tarfile.TarInfo.create_pax_global_header({"path": "x"}), "header"),
    "a sparse file of PAX": (lambda _: entry(BLOB, b"0\n", pax_headers={"GNU.sparse.major": "1"}), "header"),
    "a sparse file of GNU": (lambda _: entry(BLOB, type=tarfile.GNUTYPE_SPARSE), "header"),
    "a long name of GNU": (lambda _: entry("x" * 200, form=tarfile.GNU_FORMAT), "header"),
    "a size beyond the file": (lambda _: header(BLOB, 1 << 50), "expected at least"),
    "a negative size": (lambda _: _negative(), "a size that is no number"),
    "bytes after the end": (lambda _: bytes(1024) + b"x" * 512, "after the end"),
}


def _first(data: bytes) -> tuple[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = next(member for member in tar if member.name.startswith("blobs/"))
        return found.name, tar.extractfile(found).read()  # type: ignore[union-attr]


def _negative() -> bytes:
    block = bytearray(header(BLOB, 0))
    block[124:136] = b"\xff" * 11 + b"\xf0"
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * 32)
    return bytes(block)


def refused(path: Path, words: str) -> None:
    """By `verify`, with these words and exit code 3."""
    with pytest.raises(RefusedError) as caught:
        verify_blobs(open_bundle(path, None))
    assert words in str(caught.value), caught.value
    assert (caught.value.exit_code, caught.value.place.startswith(str(path))) == (3, True)
    assert caught.value.code in ("bundle-damaged", "bundle-truncated", "hostile-name", "blob-damaged"), caught.value.code
    assert caught.value.hint


@pytest.mark.parametrize("trick", MORE)
def test_a_tar_that_plays_tricks_is_refused(built: Vendor, tmp_path: Path, trick: str) -> None:
    data = (built.home / "dist/collector.bundle.tar").read_bytes()
    more, words = MORE[trick]
    path = tmp_path / "tricky.bundle.tar"
    path.write_bytes(data[:-1024] + more(data) + bytes(1024))
    refused(path, words)


@pytest.fixture
def forger(built: Vendor, tmp_path: Path) -> Forger:
    return Forger(built, tmp_path)


def written(forger: Forger, index: bytes | None = None) -> Path:
    forger.path.write_bytes(forger.forged(index))
    return forger.path


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("manifests", 0, "digest"), "sha256:../../../etc/shadow", "expected sha256: and 64 hexadecimal digits"),
        (("manifests", 0, "digest"), "md5:" + "0" * 32, "expected sha256: and 64 hexadecimal digits"),
        (("manifests", 0, "mediaType"), "application/x-executable", "expected the media type"),
        (("manifests", 0, "size"), 1 << 60, "expected a number of bytes"),
        (("manifests", 0, "size"), 7, "expected 7 bytes"),
    ],
)
def test_an_index_that_plays_tricks_is_refused(forger: Forger, keys: tuple[str | int, ...], value: object, words: str) -> None:
    found = forger.index
    for key in keys[:-1]:
        found = found[key]  # type: ignore[index]
    found[keys[-1]] = value  # type: ignore[index]
    refused(written(forger), words)


def test_deep_json_is_refused(forger: Forger) -> None:
    refused(written(forger, b'{"a":' * 3000 + b"1" + b"}" * 3000), "nested deeper than 32")


def test_a_member_whose_name_leaves_the_folder_is_refused_before_a_byte_is_written(forger: Forger, tmp_path: Path) -> None:
    def change(manifest: dict[str, list[dict[str, dict[str, str]]]]) -> None:
        manifest["layers"][0]["annotations"][TITLE] = "../../escaped"

    files = next(number for number, one in enumerate(forger.index["manifests"]) if "vnd.deployctl.files" in json.dumps(one))
    forger.manifest(files, change)
    path = written(forger)
    with pytest.raises(RefusedError, match="escaped") as caught:
        extract_files(open_bundle(path, None), tmp_path / "out")
    assert (caught.value.exit_code, caught.value.code) == (3, "hostile-name")
    assert not (tmp_path / "out").exists() and not list(tmp_path.parent.glob("escaped"))


def test_a_bomb_gives_no_more_than_its_declared_size(forger: Forger) -> None:
    layer = forger.bundle.images["collector/app:1.0.0"].layers[1]
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(300 << 20))
    forger.replace(forger.bundle.read(layer.blob.digest), bomb)
    bundle = open_bundle(written(forger), None)
    with pytest.raises(RefusedError, match=f"expected a frame of {layer.raw_size} raw bytes, got {300 << 20}") as caught:
        bundle.open_layer(bundle.images["collector/app:1.0.0"].layers[1])
    assert caught.value.exit_code == 3
