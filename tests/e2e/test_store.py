"""The medium leaves the site again: what was taken in installs, is let go when nobody needs it, and is told to the vendor."""

from __future__ import annotations

import json

import pytest

from places import USB, VAULT, Place

OLD, NEW = "collector-1.0.0.bundle.tar", "collector-1.1.0.bundle.tar"


def run(place: Place, verb: str, words: str = "", check: bool = True) -> str:
    return place.deploy(f"deployctl {verb} --client {place.client} {words}", check=check).stdout


def taken(place: Place, bundle: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(run(place, "import", f"--json {USB}/{bundle}"))
    return found


@pytest.fixture(scope="module")
def stored(globex: Place) -> Place:
    """Both releases in the store, the newer one installed from there, over the older one."""
    globex.reset()
    first, second = taken(globex, OLD), taken(globex, NEW)
    assert first["kept"] == 0 < second["kept"] and second["copied"] < first["copied"] / 10
    globex.install(OLD)
    assert taken(globex, NEW)["copied"] == 0
    run(globex, "install", VAULT)
    return globex


def test_the_bundle_taken_in_last_is_what_install_takes(stored: Place) -> None:
    text = stored.on(stored.site.targets[0].name, "cat /var/lib/deployctl/collector/record.json").stdout
    assert json.loads(text)["release"]["version"] == "1.1.0"


def test_prune_keeps_what_runs_and_the_way_back(stored: Place) -> None:
    assert json.loads(run(stored, "prune", "--json --yes")) == {"releases": [], "blobs": 0, "bytes": 0}
    store = f"inventories/{stored.client}/.site/store"
    assert stored.deploy(f"ls {store}/*.stored | wc -l").stdout.strip() == "2"


def test_a_receipt_says_what_the_site_holds_and_runs_without_a_machine_s_name(stored: Place) -> None:
    path = run(stored, "receipt", "--level text").strip()
    page = stored.deploy(f"cat {path}").stdout
    assert "runs: collector 1.1.0 sha256:" in page and "on 1 hosts, " in page
    assert all(host.name not in page and host.address not in page for host in stored.site.targets)
    full = json.loads(stored.deploy(f"cat $({'deployctl receipt --client ' + stored.client})").stdout.partition("\n")[0])
    assert len(full["blobs"]) > 20 and {held["version"] for held in full["holds"]} == {"1.0.0", "1.1.0"}
