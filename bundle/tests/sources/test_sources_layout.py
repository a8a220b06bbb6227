"""Images out of OCI layouts: found by the names that others give them, and never believed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import INDEX, MANIFEST, Layout
from memory_images import MemoryImages, digest
from vendors import APP, BASE, NGINX

from deploybundle import oci
from deploybundle.errors import InputError
from deploybundle.sources import ImageMissing, LayoutInvalid, Layouts, read_layout
from deploybundle.trust import canonical

ARM = {"os": "linux", "architecture": "arm64"}


@pytest.fixture
def layout() -> Layout:
    one = Layout()
    one.name(one.image([BASE, NGINX], config={"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}), ref="shop/nginx:1")
    return one


@pytest.mark.parametrize(
    ("notes", "ref"),
    [
        ({"ref": "shop/app:1.0"}, "shop/app:1.0"),
        ({"containerd": "docker.io/shop/app:1.0", "ref": "1.0"}, "shop/app:1.0"),
        ({"containerd": "docker.io/library/redis:latest", "ref": "latest"}, "redis"),
        ({"containerd": "registry.example:5000/shop/app:1.0", "ref": "1.0"}, "registry.example:5000/shop/app:1.0"),
        ({"ref": "localhost/shop/app:1.0"}, "localhost/shop/app:1.0"),
    ],
)
def test_an_image_is_found_by_the_names_that_tools_write(tmp_path: Path, notes: dict[str, str], ref: str) -> None:
    one = Layout()
    one.name(one.image([BASE, APP]), **notes)
    one.name(one.image([BASE]), ref="another:1")
    for path in (one.folder(tmp_path / "folder"), one.archive(tmp_path / "x.tar")):
        found = read_layout(path).find(ref)
        assert found and found.diff_ids == (digest(BASE), digest(APP))
        assert read_layout(path).find("shop/other:1.0") is None


def test_a_tag_alone_names_nothing_but_what_it_is_told_to(tmp_path: Path) -> None:
    one = Layout()
    one.name(one.image([APP]), ref="1.0")
    path = one.folder(tmp_path / "x")
    assert read_layout(path).find("shop/app:1.0") is None
    assert read_layout(path, "shop/app:1.0").find("shop/app:1.0")


def test_a_name_with_a_digest_means_that_manifest_and_no_other(layout: Layout, tmp_path: Path) -> None:
    made = read_layout(layout.folder(tmp_path / "x"))
    pinned = f"shop/nginx@{layout.entries[0]['digest']}"
    assert made.find(pinned)
    assert made.find(f"shop/nginx@{digest(b'other')}") is None


def test_of_several_platforms_ours_is_taken_and_attestations_are_passed_over(tmp_path: Path) -> None:
    one = Layout()
    unknown = {"os": "unknown", "architecture": "unknown"}
    many = [{**one.image([APP]), "platform": ARM}, {**one.image([NGINX]), "platform": {**ARM, "architecture": "amd64"}},
            {**one.blob(b"{}", MANIFEST), "platform": unknown}]  # fmt: skip
    nested = one.blob(json.dumps({"schemaVersion": 2, "manifests": many}).encode(), INDEX)
    one.name(nested, ref="shop/nginx:1")
    found = read_layout(one.folder(tmp_path / "x")).find("shop/nginx:1")
    assert found and found.diff_ids == (digest(NGINX),)


def test_ports_and_blobs_are_those_of_the_image(layout: Layout, tmp_path: Path) -> None:
    found = read_layout(layout.archive(tmp_path / "x.tar")).find("shop/nginx:1")
    assert found and found.kept
    assert [(port.port, port.protocol) for port in found.exposed] == [(53, "udp"), (80, "tcp")]
    for part in found.kept.layers:
        with found.kept.open(part) as file:
            assert digest(file.read()) == part.digest


def test_what_no_layout_has_is_asked_of_the_other_source(layout: Layout, tmp_path: Path) -> None:
    docker = MemoryImages({"shop/app:1": [APP]})
    both = Layouts([read_layout(layout.folder(tmp_path / "x"))], lambda: docker)
    nginx, app = both.inspect(["shop/nginx:1", "shop/app:1"])
    assert nginx.kept and not app.kept
    with pytest.raises(ImageMissing):
        both.inspect(["shop/nothing:1"])


def test_if_layouts_have_all_nobody_else_is_asked(layout: Layout, tmp_path: Path) -> None:
    def asked() -> MemoryImages:
        raise AssertionError("asked")

    assert Layouts([read_layout(layout.folder(tmp_path / "x"))], asked).inspect(["shop/nginx:1"])


def test_an_image_that_was_named_and_that_nobody_uses_is_misspelt(layout: Layout, tmp_path: Path) -> None:
    layouts = Layouts([read_layout(layout.folder(tmp_path / "x"), "shop/ngnix:1")], lambda: MemoryImages({"a:1": [APP]}))
    with pytest.raises(ImageMissing, match="shop/ngnix:1"):
        layouts.inspect(["a:1"])


def _manifest(one: Layout, **changes: object) -> None:
    """Another manifest in the place of the right one."""
    data = one.files[f"blobs/sha256/{one.entries[0]['digest'][7:]}"]
    value = {**json.loads(data), **changes}
    one.entries[0] = {**one.entries[0], **one.blob(json.dumps(value).encode(), MANIFEST)}


def _layer(one: Layout, **changes: object) -> None:
    data = json.loads(one.files[f"blobs/sha256/{one.entries[0]['digest'][7:]}"])
    _manifest(one, layers=[{**data["layers"][0], **changes}, data["layers"][1]])


HOSTILE: dict[str, tuple[Callable[[Layout], object], str]] = {
    "a digest that is none": (lambda one: _layer(one, digest="sha256:../../etc/shadow"), "expected a media type and a digest"),
    "a size that is none": (lambda one: _layer(one, size=-1), "expected a size"),
    "a size that is true": (lambda one: _layer(one, size=True), "expected a size"),
    "a layer that lies elsewhere": (lambda one: _layer(one, urls=["http://example.com"]), "whose blob lies here"),
    "a foreign media type": (lambda one: _layer(one, mediaType="text/html"), "none that we know"),
    "a config that is none": (lambda one: _manifest(one, config=one.blob(b"{}", "text/plain")), "expected an image's"),
    "fewer diff_ids than layers": (lambda one: _manifest(one, layers=[]), "as many diff_ids as layers"),
    "a thousand layers and one": (lambda one: _manifest(one, layers=[{}] * 1001), "at most 1000"),
    "another kind of manifest": (lambda one: one.entries[0].update(mediaType="text/html"), "expected an image's manifest"),
    "a manifest that is another": (lambda one: one.entries[0].update(size=7), "expected sha256:"),
    "a manifest that is not there": (lambda one: one.entries[0].update(digest=digest(b"?")), "lacks the blob"),
    "deep JSON": (lambda one: one.entries[0].update(one.blob(b"[" * 100 + b"]" * 100, MANIFEST)), "nested deeper"),
    "twin keys": (lambda one: one.entries[0].update(one.blob(b'{"a":1,"a":2}', MANIFEST)), "stands twice"),
    "an index that holds itself": (lambda one: one.entries[0].update(_turtles(one)), "within indexes"),
}


def _turtles(one: Layout) -> dict[str, object]:
    entry = one.image([BASE])
    for _ in range(4):
        entry = one.blob(json.dumps({"manifests": [entry]}).encode(), INDEX)
    return entry


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_layout_is_refused(layout: Layout, tmp_path: Path, name: str) -> None:
    change, words = HOSTILE[name]
    change(layout)
    for path in (layout.folder(tmp_path / "folder"), layout.archive(tmp_path / "x.tar")):
        with pytest.raises(LayoutInvalid, match=words) as caught:
            read_layout(path).find("shop/nginx:1")
        assert caught.value.exit_code == InputError.exit_code


def test_a_link_is_not_followed(layout: Layout, tmp_path: Path) -> None:
    path = layout.folder(tmp_path / "x")
    blob = path / "blobs/sha256" / layout.entries[0]["digest"][7:]
    (tmp_path / "elsewhere").write_bytes(blob.read_bytes())
    blob.unlink()
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LayoutInvalid, match="lacks the blob"):
        read_layout(path).find("shop/nginx:1")
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(LayoutInvalid, match="lacks the blob"):
        read_layout(path).find("shop/nginx:1")


def _tar(path: Path, *entries: tuple[str, bytes, dict[str, object]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data, more in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in more.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_an_archive_that_is_none_or_plays_tricks_is_refused(layout: Layout, tmp_path: Path) -> None:
    head = ("oci-layout", layout.files["oci-layout"], {})
    index = ("index.json", layout.all()["index.json"], {})
    link = ("index.json", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})
    sparse = ("index.json", b"x" * 600, {"pax_headers": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999"}})
    long = ("index.json", b"{}", {"pax_headers": {"size": "99999999"}})
    for entries in ((head,), (head, index, index), (head, link), (head, sparse), (head, long)):
        with pytest.raises(LayoutInvalid, match="is no OCI image layout"):
            read_layout(_tar(tmp_path / "x.tar", *entries))
    for data in (b"", b"hello", bytes(10240), os.urandom(2000)):
        (tmp_path / "x.tar").write_bytes(data)
        with pytest.raises(LayoutInvalid, match="is no OCI image layout") as caught:
            read_layout(tmp_path / "x.tar")
        assert "docker save" in caught.value.hint
    with pytest.raises(LayoutInvalid, match="No such file"):
        read_layout(tmp_path / "nothing")


KEYS = st.sampled_from(["config", "layers", "mediaType", "digest", "size", "schemaVersion", "rootfs", "diff_ids"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
VALUES = st.recursive(LEAVES, lambda one: st.lists(one, max_size=4) | st.dictionaries(KEYS, one, max_size=5), max_leaves=20)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_whatever_stands_in_a_manifest_it_is_read_or_refused(value: object) -> None:
    data = canonical.dumps(value)
    for reading in (lambda: oci.read_manifest(data, MANIFEST), lambda: oci.diff_ids(data)):
        with contextlib.suppress(ValueError):
            reading()
