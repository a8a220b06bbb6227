"""What the vendor builds: the same from the same, nothing twice, and nothing left behind by a failure."""

from __future__ import annotations

import errno
import io
import locale
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from memory_images import MemoryImages, digest, layer
from vendors import APP, BASE, Vendor, make_vendor, noise

from deploybundle import pack, sources
from deploybundle.open import open_bundle, verify_blobs


def test_the_same_input_makes_the_same_index_and_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_vendor(tmp_path / "one")
    first = one.build()
    old, spoken = os.umask(0o077), locale.setlocale(locale.LC_ALL)
    try:
        other = make_vendor(tmp_path / "another")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5))
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        locale.setlocale(locale.LC_ALL, "C")
        second = other.build("else.tar", clock=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    finally:
        os.umask(old)
        locale.setlocale(locale.LC_ALL, spoken)
    assert first.index_digest == second.index_digest
    assert one.open().signed_by != other.open("else.tar").signed_by
    assert list(one.open().blobs) == list(other.open("else.tar").blobs)


def test_a_layer_that_images_share_is_there_once(vendor: Vendor) -> None:
    vendor.build()
    images = vendor.open().images
    assert images["collector/app:1.0.0"].layers[0] == images["collector/nginx:1.0.0"].layers[0]
    assert vendor.source.exports == [["collector/app:1.0.0", "collector/nginx:1.0.0"]]


def test_an_unchanged_build_exports_nothing_and_makes_the_same_index(vendor: Vendor) -> None:
    first = vendor.build()
    again = vendor.build(known=[vendor.open()])
    assert again.index_digest == first.index_digest
    assert (again.exported, again.compressed) == (0, 0)
    assert again.reused == first.compressed
    assert len(vendor.source.exports) == 1
    verify_blobs(vendor.open())


def test_an_unchanged_bundle_is_left_as_it_is_unless_it_is_damaged(vendor: Vendor) -> None:
    path = vendor.build().path
    before = path.stat()
    again = vendor.build(known=[vendor.open()])
    assert path.stat() == before and again.size == before.st_size
    data = bytearray(path.read_bytes())
    data[vendor.open().blobs[next(iter(vendor.open().blobs))].offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(pack.EarlierBundleDamaged):
        vendor.build(known=[vendor.open()])
    vendor.build()
    verify_blobs(vendor.open())


def test_a_changed_layer_exports_its_image_only(vendor: Vendor) -> None:
    vendor.build("old.tar")
    vendor.source.images = {
        "collector/nginx:1.0.0": vendor.source.images["collector/nginx:1.0.0"],
        "collector/app:1.1.0": [BASE, layer({"app/main.py": b"print(1)\n" * 500})],
    }
    vendor.build("new.tar", known=[vendor.open("old.tar")])
    assert vendor.source.exports[1:] == [["collector/app:1.1.0"]]
    verify_blobs(vendor.open("new.tar"))
    new, old = vendor.open("new.tar"), vendor.open("old.tar")
    assert new.images["collector/app:1.1.0"].layers[0] == old.images["collector/app:1.0.0"].layers[0]
    assert new.open_layer(new.images["collector/app:1.1.0"].layers[1]).read() == vendor.source.images["collector/app:1.1.0"][1]


def test_a_retagged_image_is_not_exported(vendor: Vendor) -> None:
    vendor.build("old.tar")
    vendor.source.images = {ref.replace("1.0.0", "2.0.0"): layers for ref, layers in vendor.source.images.items()}
    vendor.build("new.tar", known=[vendor.open("old.tar")])
    assert len(vendor.source.exports) == 1


def test_large_layers_and_files_arrive_whole(vendor: Vendor) -> None:
    raw = layer({"large": noise(3, 5 << 20), "zeros": bytes(20 << 20)})
    vendor.source.images["large"] = [raw]
    seen: list[tuple[int, int]] = []
    vendor.build(progress=lambda done, total: seen.append((done, total)))
    bundle = vendor.open()
    with bundle.open_layer(bundle.images["large"].layers[0]) as stream:
        assert digest(stream.read()) == digest(raw)
    assert all(done <= total for done, total in seen)
    assert seen[-1][0] > 25 << 20


def test_what_rotted_in_an_earlier_bundle_does_not_travel_on(vendor: Vendor) -> None:
    vendor.source.images["large"] = [layer({"large": noise(3, 5 << 20)})]
    path = vendor.build("old.tar").path
    known = vendor.open("old.tar")
    at = known.locate(known.images["large"].layers[0].blob.digest)
    data = bytearray(path.read_bytes())
    data[at.offset + at.size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(pack.EarlierBundleDamaged, match=f"old.tar: expected sha256:.* at offset {at.offset}"):
        vendor.build(known=[known])
    assert not list(path.parent.glob("collector*"))


def test_a_layer_of_the_size_of_another_is_not_taken_for_it(vendor: Vendor) -> None:
    vendor.source.images = {"a": [layer({"a": noise(1, 9000)})], "b": [layer({"b": noise(2, 9000)})]}
    vendor.build()
    assert len(vendor.source.exports) == 2
    image = vendor.open().images["b"]
    assert vendor.open().open_layer(image.layers[0]).read() == vendor.source.images["b"][0]


def test_an_earlier_bundle_that_was_replaced_meanwhile_is_noticed(vendor: Vendor) -> None:
    path = vendor.build("old.tar").path
    known = vendor.open("old.tar")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(pack.EarlierBundleDamaged, match="old.tar"):
        vendor.build(known=[known])


class Broken(MemoryImages):
    """A source that fails in the middle of a layer."""

    error: BaseException = KeyboardInterrupt()

    def export(self, images: Sequence[sources.ImageInfo], have: Collection[str]) -> Iterator[sources.Exported]:
        yield sources.Layer(io.BytesIO(APP), len(APP))
        yield sources.Layer(self._stream(), 1 << 20)  # type: ignore[arg-type]

    def _stream(self) -> object:
        class Stream:
            left = 2

            def read(this, size: int) -> bytes:  # noqa: N805
                this.left -= 1
                if not this.left:
                    raise self.error
                return bytes(1000)

        return Stream()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), pack.NoSpace),
        (sources.ExportFailed("gone"), sources.ExportFailed),
    ],
    ids=["Ctrl-C", "full disk", "the daemon breaks off"],
)
def test_a_failure_leaves_no_file_and_the_old_bundle(vendor: Vendor, error: BaseException, raised: type[BaseException]) -> None:
    path = vendor.build().path
    before = path.read_bytes()
    source = Broken(vendor.source.images)
    source.error = error
    with pytest.raises(raised):
        vendor.build(source=source)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_stream_that_ends_too_early_is_a_changed_image(vendor: Vendor) -> None:
    class Short(MemoryImages):
        def export(self, images: Sequence[sources.ImageInfo], have: Collection[str]) -> Iterator[sources.Exported]:
            yield sources.Layer(io.BytesIO(APP), len(APP) + 512)

    with pytest.raises(pack.ImageChanged, match="declared"):
        vendor.build(source=Short(vendor.source.images))


def test_an_image_that_was_tagged_anew_meanwhile_is_named(vendor: Vendor) -> None:
    infos = vendor.source.inspect(sorted(vendor.source.images))
    vendor.source.images["collector/app:1.0.0"] = [BASE, layer({"other": b""})]
    with pytest.raises(pack.ImageChanged, match="^collector/app:1.0.0: expected the image sha256"):
        vendor.build(images=infos)


def test_what_is_left_by_a_killed_build_is_written_over(vendor: Vendor) -> None:
    partial = vendor.home / "dist/collector.bundle.tar.partial"
    partial.parent.mkdir()
    partial.write_bytes(noise(1, 200_000))
    vendor.build()
    assert not partial.exists()
    verify_blobs(vendor.open())


def test_two_builds_of_one_file_do_not_mix(vendor: Vendor) -> None:
    class Nested(MemoryImages):
        def export(self, images: Sequence[sources.ImageInfo], have: Collection[str]) -> Iterator[sources.Exported]:
            with pytest.raises(pack.BuildRunning):
                vendor.build()
            return super().export(images, have)

    vendor.build(source=Nested(vendor.source.images))
    verify_blobs(vendor.open())


def test_a_folder_that_cannot_be_written_is_named(vendor: Vendor) -> None:
    (vendor.home / "dist").mkdir()
    (vendor.home / "dist" / "collector.bundle.tar.partial").mkdir()
    with pytest.raises(pack.CannotBundle, match="Is a directory"):
        vendor.build()


Change = Callable[[Vendor], dict[str, object]]
REFUSED: dict[str, Change] = {
    "a name that leaves the folder": lambda v: {"files": {"../compose.yaml": v.files["compose.yaml"]}},
    "a file that is not there": lambda v: {"files": {"compose.yaml": v.home / "none"}},
    "a release without a good name": lambda v: {"meta": {**v.meta, "name": "no good"}},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_reader_would_accept_is_not_published(vendor: Vendor, case: str) -> None:
    with pytest.raises(pack.CannotBundle):
        vendor.build(**REFUSED[case](vendor))
    assert not list((vendor.home / "dist").iterdir())


def test_an_image_name_that_is_none_is_not_published(vendor: Vendor) -> None:
    vendor.source.images["no good"] = [BASE]
    with pytest.raises(pack.CannotBundle):
        vendor.build()


def test_many_images_fit_the_head(vendor: Vendor) -> None:
    vendor.source.images = {f"registry.example/{'x' * 180}/{n}:1": [BASE] for n in range(300)}
    vendor.build()
    assert len(open_bundle(vendor.home / "dist/collector.bundle.tar", [vendor.signer.public]).images) == 300
