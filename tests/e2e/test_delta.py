"""An upgrade from a delta in parts, which arrive out of order: what is missing is named, nothing is joined or copied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import changed
from places import USB, VAULT, Place, Vendor

pytestmark = pytest.mark.e2e
OLD, NEW = "collector-1.0.0.bundle.tar", "collector-1.1.0-from-1.0.0.delta.tar.parts"


@pytest.fixture(scope="module")
def sticks(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The delta's parts, not on the medium yet; its list is."""
    out = tmp_path_factory.mktemp("delta")
    project = changed(tmp_path_factory.mktemp("project"), "1.0.0", "1.1.0")
    size = vendor.run("bundle", str(project), "--out", str(out), "--since", str(vendor.medium / OLD), "--json").stdout
    each = json.loads(size)["size"] // 3 + 512
    vendor.run("bundle", str(project), "--out", str(out), "--since", str(vendor.medium / OLD), "--split", f"{each}B")
    shutil.copy(out / NEW, vendor.medium)
    found = sorted(out.glob("*.0??"))
    assert len(found) == 3
    return found


def test_a_site_is_upgraded_from_parts_fed_out_of_order(acme: Place, vendor: Vendor, sticks: list[Path]) -> None:
    acme.install(OLD, "--older")
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
