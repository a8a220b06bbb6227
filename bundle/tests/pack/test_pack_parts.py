"""A bundle in numbered parts: read in place, in any order, over several media; what is missing or damaged is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from memory_images import layer
from vendors import Vendor, noise

from deploybundle import pack
from deploybundle.errors import RefusedError
from deploybundle.open import Bundle, NotABundle, PartDamaged, PartMissing, open_bundle, verify_blobs

NAME = "collector.bundle.tar.parts"
EACH = 1 << 20


@pytest.fixture
def parted(vendor: Vendor) -> Path:
    """Four parts; a layer lies in three of them."""
    vendor.source.images["large"] = [layer({"large": noise(3, 3 << 20)})]
    vendor.build(NAME, split=EACH)
    return vendor.home / "dist"


def opened(vendor: Vendor, *folders: Path) -> Bundle:
    return open_bundle(vendor.home / "dist" / NAME, [vendor.signer.public], folders=folders)


def test_parts_hold_what_one_file_holds(vendor: Vendor, parted: Path) -> None:
    vendor.build("whole.tar")
    joined = b"".join(path.read_bytes() for path in sorted(parted.glob("*.0??")))
    sizes = [path.stat().st_size for path in sorted(parted.glob("*.0??"))]
    assert sizes[:-1] == [EACH] * (len(sizes) - 1) and len(sizes) == 4
    assert opened(vendor).index == vendor.open("whole.tar").index
    assert joined[opened(vendor).blobs[next(iter(opened(vendor).blobs))].offset - 512 :][:512] in joined
    verify_blobs(opened(vendor))
    assert not list(parted.glob("*.partial"))


def test_an_unchanged_bundle_is_cut_anew_where_another_size_is_asked_for(vendor: Vendor, parted: Path) -> None:
    before = sorted(parted.iterdir())
    vendor.build(NAME, split=EACH)
    assert sorted(parted.iterdir()) == before
    vendor.build(NAME, split=2 * EACH)
    assert len(sorted(parted.glob("*.0??"))) == 2
    verify_blobs(opened(vendor))


def test_a_part_alone_is_told_apart_from_what_is_no_bundle(vendor: Vendor, parted: Path) -> None:
    with pytest.raises(NotABundle, match="one part of a bundle") as caught:
        open_bundle(parted / "collector.bundle.tar.002", [vendor.signer.public])
    assert caught.value.hint == f"name the list of the parts: {parted / NAME}"


def test_sha256sum_reads_the_list(parted: Path, vendor: Vendor) -> None:
    done = subprocess.run(["sha256sum", "-c", NAME], cwd=parted, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == 4, done.stdout + done.stderr


def test_parts_may_lie_on_several_media(vendor: Vendor, parted: Path, tmp_path: Path) -> None:
    for number, stick in ((1, "a"), (3, "b")):
        (tmp_path / stick).mkdir()
        shutil.move(parted / f"collector.bundle.tar.{number:03}", tmp_path / stick)
    with pytest.raises(PartMissing, match=r"collector.bundle.tar.001 \(1 of 4\), collector.bundle.tar.003 \(3 of 4\)$"):
        opened(vendor)
    verify_blobs(opened(vendor, tmp_path / "b", tmp_path / "a"))


def test_a_part_that_was_cut_short_counts_as_missing(vendor: Vendor, parted: Path) -> None:
    part = parted / "collector.bundle.tar.002"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(PartMissing, match=r"002 \(2 of 4\)$"):
        opened(vendor)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_damaged_part_is_named_and_only_that_one(vendor: Vendor, parted: Path, number: int) -> None:
    part = parted / f"collector.bundle.tar.{number:03}"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(PartDamaged) as caught:
        verify_blobs(opened(vendor))
    assert str(part) in caught.value.message and caught.value.message.startswith("1 of 4 parts")


LISTS = {
    "no parts": lambda text: text.split("\n")[0] + "\n",
    "a part of another folder": lambda text: text.replace("  collector", "  ../collector"),
    "a part that is another's": lambda text: text.replace("tar.002", "tar.003"),
    "a size that lies": lambda text: text.replace(f"{EACH} each", "512 each"),
    "no list at all": lambda text: "\0" * 4096,
    "no end of line": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_hostile_list_is_refused(vendor: Vendor, parted: Path, case: str) -> None:
    path = parted / NAME
    path.write_text(LISTS[case](path.read_text()))
    with pytest.raises(RefusedError):
        opened(vendor)


def test_a_smaller_build_leaves_no_part_of_the_larger_one(vendor: Vendor, parted: Path) -> None:
    vendor.source.images.pop("large")
    vendor.build(NAME, split=EACH)
    assert sorted(path.name for path in parted.iterdir()) == ["collector.bundle.tar.001", NAME]


def test_an_earlier_bundle_in_parts_is_copied_from(vendor: Vendor, parted: Path) -> None:
    again = vendor.build("new.tar", known=[opened(vendor)])
    assert again.exported == 0
    verify_blobs(vendor.open("new.tar"))


def test_too_many_parts_are_refused_and_none_is_left(vendor: Vendor) -> None:
    with pytest.raises(pack.CannotBundle, match="999 parts"):
        vendor.build(NAME, split=64)
    assert not list((vendor.home / "dist").iterdir())
