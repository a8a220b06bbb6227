"""A whole bundle is read; every other file is refused with a RefusedError and nothing else."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendors import APP, BASE, Vendor

from deploybundle import trust
from deploybundle.errors import RefusedError
from deploybundle.open import (
    BlobDamaged,
    BundleDamaged,
    BundleTruncated,
    FolderTaken,
    NoBundle,
    NotABundle,
    extract_files,
    open_bundle,
    verify_blobs,
)
from deploybundle.open.medium import OneFile, Reading
from deploybundle.open.tar import Tar, header, padding

Alter = Callable[[Callable[[bytearray], object]], Path]


def check(path: Path, vendor: Vendor) -> None:
    """What `deployctl verify` does."""
    verify_blobs(open_bundle(path, [vendor.signer.public]))


def data_of(vendor: Vendor) -> bytes:
    return (vendor.home / "dist/collector.bundle.tar").read_bytes()


def test_a_bundle_tells_what_it_holds(built: Vendor) -> None:
    bundle = built.open()
    assert (bundle.name, bundle.version, bundle.meta) == ("collector", "1.0.0", built.meta)
    assert list(bundle.images) == ["collector/app:1.0.0", "collector/nginx:1.0.0"]
    assert list(bundle.files) == ["compose.yaml", "config/nginx.conf.j2", "scripts/start"]
    assert bundle.wheels["3.11"] == bundle.wheels["3.13"]
    assert bundle.read(bundle.tools["installer"].digest) == b"print('installed')\n"
    assert bundle.signed_by == built.signer.public
    assert bundle.statement == trust.Statement("collector 1.0.0", "2026-11-21T10:00:00Z", "deployctl")


def test_an_image_keeps_its_config_and_its_layers(built: Vendor) -> None:
    bundle = built.open()
    image = bundle.images["collector/app:1.0.0"]
    assert image.config == built.source.config("collector/app:1.0.0")
    assert image.exposed == ((8000, "tcp"),)
    assert [bundle.open_layer(layer).read() for layer in image.layers] == [BASE, APP]


def test_verify_reads_every_byte_and_tells_how_far(built: Vendor) -> None:
    seen: list[tuple[int, int]] = []
    bundle = built.open()
    verify_blobs(bundle, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (seen[-1][1],) * 2 == (sum(at.size for at in bundle.blobs.values()),) * 2


def test_files_are_written_out_with_their_modes(built: Vendor, tmp_path: Path) -> None:
    extract_files(built.open(), tmp_path / "out")
    found = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: path.read_bytes() for name, path in built.files.items()
    }
    assert found["scripts/start"].stat().st_mode & 0o777 == 0o755
    with pytest.raises(FolderTaken):
        extract_files(built.open(), tmp_path / "out")


def test_a_truncated_bundle_says_how_many_bytes_it_lacks(altered: Alter, built: Vendor) -> None:
    size = len(data_of(built))
    with pytest.raises(BundleTruncated, match=f"expected at least {size} bytes, got {size - 1}"):
        check(altered(lambda data: data.pop()), built)


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 513, 5000, 20480, 21000, 50_000, -1024, -512])
def test_a_bundle_cut_anywhere_is_truncated(altered: Alter, built: Vendor, keep: int) -> None:
    def cut(data: bytearray) -> None:
        del data[keep:]

    with pytest.raises(BundleTruncated):
        check(altered(cut), built)


def test_a_damaged_blob_is_named_with_its_place_and_both_digests(altered: Alter, built: Vendor) -> None:
    bundle = built.open()
    digest = bundle.images["collector/nginx:1.0.0"].layers[1].blob.digest
    number, at = list(bundle.blobs).index(digest) + 1, bundle.locate(digest)

    def flip(data: bytearray) -> None:
        data[at.offset + 1000] ^= 4

    path = altered(flip)
    said = rf"expected {digest}, got sha256:[0-9a-f]+ \(blob {number} of {len(bundle.blobs)}, \d+ bytes at offset {at.offset}\)"
    with pytest.raises(BlobDamaged, match=said) as caught:
        check(path, built)
    assert caught.value.exit_code == 3
    for read in (open_bundle(path, None).read, lambda d: open_bundle(path, None).open(d).read()):
        with pytest.raises(BlobDamaged, match=digest):
            read(digest)


def test_a_bundle_of_a_stranger_or_unsigned_is_refused(built: Vendor, tmp_path: Path) -> None:
    path = built.home / "dist/collector.bundle.tar"
    with pytest.raises(trust.UnknownSigner, match="which is not trusted here"):
        open_bundle(path, [trust.generate(tmp_path / "other", None)])
    with pytest.raises(trust.UnknownSigner):
        open_bundle(path, [])


def entries(data: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(entry.name, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]


def repack(found: list[tuple[str, bytes]]) -> bytes:
    files = b"".join(header(name, len(content)) + content + bytes(padding(len(content))) for name, content in found)
    return files + bytes(1024)


def drop(name: str) -> Callable[[list[Any]], list[Any]]:
    return lambda found: [entry for entry in found if entry[0] != name]


CHANGES: dict[str, tuple[Callable[[list[Any]], list[Any]], type[RefusedError]]] = {
    "no DSSE": (drop("deployctl/index.dsse.json"), trust.MissingSignature),
    "no SSH signature": (drop("deployctl/index.sshsig"), trust.MissingSignature),
    "empty SSH signature": (lambda f: [*f[:3], (f[3][0], b""), *f[4:]], trust.MissingSignature),
    "empty DSSE": (lambda f: [*f[:2], (f[2][0], b""), *f[3:]], trust.MissingSignature),
    "no index": (drop("index.json"), BundleDamaged),
    "another index": (lambda f: [f[0], (f[1][0], b"{}"), *f[2:]], trust.BadSignature),
    "a comment on the key": (lambda f: [*f[:4], (f[4][0], f[4][1][:-1] + b" me\n"), *f[5:]], trust.BadSignature),
    "another layout": (lambda f: [(f[0][0], f[0][1][:-1] + b" "), *f[1:]], BundleDamaged),
    "less padding": (lambda f: [*f[:5], (f[5][0], f[5][1][512:]), *f[6:]], BundleDamaged),
    "padding that is not zero": (lambda f: [*f[:5], (f[5][0], f[5][1][1:] + b"x"), *f[6:]], BundleDamaged),
    "a blob twice": (lambda f: [*f, f[-1]], BundleDamaged),
    "a blob that the index does not name": (lambda f: [*f, ("blobs/sha256/" + "0" * 64, b"")], BundleDamaged),
    "a file that is no blob": (lambda f: [*f, ("../evil", b"")], BundleDamaged),
    "a blob of another size": (lambda f: [*f[:-1], (f[-1][0], f[-1][1] + b" ")], RefusedError),
    "the last blob is missing": (lambda f: f[:-1], BundleTruncated),
    "first blob is missing": (lambda f: [*f[:6], *f[7:]], BundleDamaged),
    "nothing": (lambda _: [], NotABundle),
    "head in another order": (lambda f: [f[1], f[0], *f[2:]], NotABundle),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_bundle_with_other_entries_is_refused(built: Vendor, tmp_path: Path, case: str) -> None:
    change, expected = CHANGES[case]
    found = entries(data_of(built))
    assert repack(found) == data_of(built)
    path = tmp_path / "changed.bundle.tar"
    path.write_bytes(repack(change(found)))
    with pytest.raises(expected):
        check(path, built)


def test_bytes_after_the_end_are_refused(altered: Alter, built: Vendor) -> None:
    with pytest.raises(BundleDamaged, match="after the end"):
        check(altered(lambda data: data.extend(bytes(512))), built)


def test_another_file_is_no_bundle(tmp_path: Path, built: Vendor) -> None:
    with pytest.raises(NoBundle, match="No such file"):
        open_bundle(tmp_path / "none", [])
    (tmp_path / "docs.tar").write_bytes(b"PK" * 5000)
    with pytest.raises(NotABundle):
        open_bundle(tmp_path / "docs.tar", [])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_mutation_is_accepted_or_breaks_the_reader(built: Vendor, tmp_path: Path, data: st.DataObject) -> None:
    good = data_of(built)
    at = data.draw(st.one_of(st.integers(0, len(good)), st.integers(0, 5000)))
    bad = good[:at] + data.draw(st.binary(max_size=600)) + good[at + data.draw(st.integers(0, 600)) :]
    path = tmp_path / "mutated.bundle.tar"
    path.write_bytes(bad)
    if bad == good:
        return
    with pytest.raises(RefusedError):
        check(path, built)


@settings(max_examples=300, deadline=None)
@given(name=st.text("abcxyz019._-", min_size=1, max_size=100), size=st.integers(0, 2**60))
def test_headers_are_those_of_python_s_tarfile(name: str, size: int) -> None:
    entry = tarfile.TarInfo.frombuf(header(name, size), "ascii", "strict")
    assert (entry.size, entry.mode, entry.uid, entry.mtime, entry.isreg()) == (size, 0o644, 0, 0, True)
    assert entry.name == name


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 511), value=st.integers(1, 255))
def test_no_byte_of_a_header_may_differ(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    block = bytearray(header("blobs/sha256/" + "a" * 64, 512))
    block[at] ^= value
    path = tmp_path_factory.getbasetemp() / "header"
    path.write_bytes(bytes(block) + bytes(512 + 1024))
    with Reading(OneFile(path, 2048)) as file, pytest.raises(RefusedError):
        Tar(file, 2048, "header").entry(0)
