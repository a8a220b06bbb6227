"""An upgrade from a delta in parts, which arrive out of order: what is missing is named, nothing is joined or copied."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from conftest import changed
from places import USB, VAULT, Place, Vendor

pytestmark = pytest.mark.e2e
OLD, NEW = "collector-1.0.0.bundle.tar", "collector-1.1.0-from-1.0.0.delta.tar.parts"


@pytest.fixture(scope="module")
def receipt(acme: Place, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the site says that it holds and runs, carried back to the vendor."""
    acme.install(OLD, "--older")
    said = acme.deploy(f"deployctl receipt --client {acme.client} --level text --out r >&2 && cat r").stdout
    path = tmp_path_factory.mktemp("receipt") / "acme.receipt"
    path.write_text(said)
    return path


@pytest.fixture(scope="module")
def sticks(vendor: Vendor, receipt: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The delta's parts, not on the medium yet; its list is. It is made by the receipt; the vendor kept the older bundle."""
    out = tmp_path_factory.mktemp("delta")
    os.link(vendor.medium / OLD, out / OLD)
    project = changed(tmp_path_factory.mktemp("project"), "1.0.0", "1.1.0")
    made = vendor.run("bundle", str(project), "--out", str(out), "--since", str(receipt), "--json")
    assert "receipt of acme" in made.stderr and "signed by SHA256:" in made.stderr
    each = json.loads(made.stdout)["size"] // 3 + 512
    vendor.run("bundle", str(project), "--out", str(out), "--since", str(receipt), "--split", f"{each}B")
    shutil.copy(out / NEW, vendor.medium)
    found = sorted(out.glob("*.0??"))
    assert len(found) == 3
    return found


def test_a_site_is_upgraded_from_parts_fed_out_of_order(acme: Place, vendor: Vendor, sticks: list[Path]) -> None:
    before = acme.containers()
    for number, missing in ((2, "001 (1 of 3)"), (0, "002 (2 of 3)")):
        shutil.copy(sticks[number], vendor.medium)
        said = acme.deploy(f"deployctl install --client {acme.client} {VAULT} {USB}/{NEW}", check=False)
        assert said.returncode == 1 and missing in said.stderr and sticks[number].name not in said.stderr, said.stderr
        assert acme.containers() == before
    shutil.copy(sticks[1], vendor.medium)
    acme.install(NEW)
    record = json.loads(acme.on("app1", "cat /var/lib/deployctl/collector/record.json").stdout)
    assert record["release"]["version"] == "1.1.0"
    after = acme.containers()
    changed_now = {name.rsplit("/")[-1] for name in after if before.get(name) != after[name]}
    assert changed_now == {"collector-api-1", "collector-worker-1"}


def test_a_receipt_of_releases_that_the_vendor_has_not_is_told(vendor: Vendor, receipt: Path, tmp_path: Path) -> None:
    project = changed(tmp_path, "1.0.0", "1.1.0")
    said = vendor.run("bundle", str(project), "--out", str(tmp_path / "empty"), "--since", str(receipt), check=False)
    assert said.returncode == 1 and "holds of collector: 1.0.0 (index sha256:" in said.stderr, said.stderr


def test_an_import_whose_base_is_missing_names_it_and_changes_nothing(acme: Place, vendor: Vendor, sticks: list[Path]) -> None:
    for stick in sticks:
        shutil.copy(stick, vendor.medium)
    state = f"find inventories/{acme.client}/.site -type f ! -path '*/log/*' -exec sha256sum {{}} + | sort"
    before = acme.deploy(state).stdout
    (vendor.medium / OLD).rename(vendor.medium / "away")
    try:
        said = acme.deploy(f"deployctl import --client {acme.client} {USB}/{NEW}", check=False)
    finally:
        (vendor.medium / "away").rename(vendor.medium / OLD)
    assert said.returncode == 1 and "blobs" in said.stderr and "collector 1.0.0 (index sha256:" in said.stderr, said.stderr
    assert acme.deploy(state).stdout == before


def test_without_the_release_that_it_counts_on_it_says_so(acme: Place, sticks: list[Path]) -> None:
    said = acme.deploy(
        f"mkdir -p /tmp/alone && cp {USB}/{NEW.removesuffix('parts')}* /tmp/alone && deployctl verify /tmp/alone/{NEW}",
        check=False,
    )
    assert said.returncode == 1 and "collector 1.0.0 (index sha256:" in said.stderr, said.stderr


def test_a_damaged_part_is_named(acme: Place, sticks: list[Path]) -> None:
    script = (
        f"cd /tmp/alone && cp {USB}/{OLD} . &&"
        f" printf x | dd of={sticks[1].name} bs=1 seek=700 conv=notrunc status=none; deployctl verify {NEW}"
    )
    said = acme.deploy(script, check=False)
    assert said.returncode == 3 and "1 of 3 parts damaged" in said.stderr and sticks[1].name in said.stderr, said.stderr
