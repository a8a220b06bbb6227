"""Bills of materials: valid CycloneDX, the same for the same input, and read again as data."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from memory_images import MemoryImages, layer
from vendors import BASE, Vendor, make_vendor

from deploybundle.open import NoBom, bom, difference, software
from deploybundle.pack.boms import Boms
from deploybundle.sources import Part, Software

DPKG = layer({
    "var/lib/dpkg/status": b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12\n",
    "usr/share/doc/libc6/copyright": b"Format: https://www.debian.org/doc/copyright-format/1.0/\nLicense: LGPL-2.1+\n",
    "usr/lib/os-release": b"ID=debian\nVERSION_ID=13\n",
})  # fmt: skip


def wheel(version: str, licence: str = "MIT OR Apache-2.0") -> bytes:
    text = f"Name: Strange_Name\nVersion: {version}\nLicense-Expression: {licence}\n".encode()
    return layer({f"lib/python3/site-packages/strange-{version}.dist-info/METADATA": text})


NPM = layer({"srv/node_modules/@a/b/package.json": b'{"name": "@a/b", "version": "1.0.0", "license": "not a licence"}'})
HOSTS = Part("platform", "debian-13", "", (Software("deb", "runc", "1.1", "amd64"),), {"ID": "debian", "VERSION_ID": "13"})


@pytest.fixture
def one(tmp_path: Path) -> Vendor:
    return made(tmp_path / "one", "2.0")


def made(home: Path, version: str) -> Vendor:
    vendor = make_vendor(home)
    vendor.source = MemoryImages({"shop/app:1": [DPKG, wheel(version), NPM], "shop/db:1": [DPKG, BASE]})
    return vendor


def built(vendor: Vendor, cache: str = "cache", **changes: Any) -> Any:
    boms = Boms(vendor.home / cache, "collector", "1.0.0", "2026-11-21T10:00:00Z", [HOSTS])
    vendor.build(boms=boms, **changes)
    return vendor.open()


def test_each_is_valid_by_the_official_schema(one: Vendor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the validator's own dependencies
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        validator = JsonStrictValidator(SchemaVersion.V1_6)
        bundle = built(one)
        for image in ("", "shop/app:1", "shop/db:1"):
            assert validator.validate_str(bom(bundle, image).decode()) is None
        assert validator.validate_str(bom(bundle).decode().replace('"library"', '"libary"')) is not None


def test_purls_and_licences_are_by_each_kinds_own_rules(one: Vendor) -> None:
    document = json.loads(bom(built(one), "shop/app:1"))
    found = {each["purl"]: each["licenses"] for each in document["components"]}
    assert found == {
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13": [{"license": {"id": "LGPL-2.1-or-later"}}],
        "pkg:pypi/strange-name@2.0": [{"expression": "MIT OR Apache-2.0"}],
        "pkg:npm/%40a/b@1.0.0": [{"license": {"name": "not a licence"}}],
    }


def test_the_release_has_all_of_it_once_and_says_which_part_holds_what(one: Vendor) -> None:
    document = json.loads(bom(built(one)))
    assert document["metadata"]["timestamp"] == "2026-11-21T10:00:00Z"
    libraries = [each["name"] for each in document["components"] if each["type"] == "library"]
    assert sorted(libraries) == ["@a/b", "Strange_Name", "libc6", "runc"]
    held = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert [ref for ref, refs in held.items() if any("libc6" in one for one in refs)] == [
        ref for ref in held if ref.startswith("container:")
    ]
    assert any("runc" in ref for ref in held["platform:debian-13@"])


def test_the_same_input_makes_the_same_bundle_with_what_is_kept_or_without(one: Vendor) -> None:
    first = built(one).index_digest
    assert built(one).index_digest == first
    assert built(one, "elsewhere").index_digest == first
    one.known = [one.open()]
    assert built(one, "third", name="collector.bundle.tar").index_digest == first  # layers read out of the earlier bundle


def test_a_difference_names_versions_and_the_bytes_to_carry(one: Vendor, tmp_path: Path) -> None:
    other = made(tmp_path / "other", "2.1")
    found = difference(built(one), built(other))
    assert [(each.what, each.name, each.before, each.after) for each in found.software] == [
        ("changed", "pypi:Strange_Name", "2.0", "2.1")
    ]
    assert [(each.what, each.name) for each in found.images] == [("changed", "shop/app:1")]
    assert 0 < found.carry < found.size
    same = difference(built(one), built(one))
    assert (same.images, same.software, same.files, same.carry) == ((), (), (), 0)


def test_a_bundle_without_bills_of_materials_says_so(one: Vendor) -> None:
    one.build()
    with pytest.raises(NoBom, match="no bill of materials"):
        bom(one.open())
    bundle = built(one)
    with pytest.raises(NoBom) as caught:
        bom(bundle, "shop/ap:1")
    assert "shop/app:1" in caught.value.hint
    assert software(bundle)[0].kind == "deb"
