"""Hosts that have nothing but sshd, sudo and python3: the bundle alone brings Docker, to Debian 12 and 13."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployctl import rehearsal
from deployctl.site import load_site
from places import NETWORKS, ROOT, SUFFIX, USB, VAULT, Place, Vendor, moved

pytestmark = pytest.mark.e2e
BUNDLE = "collector-1.0.2.bundle.tar"
SYSTEMS = {"web1": "debian-12", "app1": "debian-13", "db1": "debian-13", "deploy": "debian-12"}
HAS_DOCKER = "app2"
APT = "find /etc/apt -type f -exec sha256sum {} + | sort; ls -A /var/lib/apt/lists /var/cache | sort"
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def site(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A site of bare hosts of both kinds, one that has an engine, and a deploy node with Python 3.11."""
    vendor.bundle(_for_both(tmp_path_factory.mktemp("both")))
    folder = moved(f"bare-e2e{SUFFIX}", "acme", str(int(NETWORKS["acme"]) - 1), tmp_path_factory.mktemp("inventories"))
    _as_they_are(folder / "hosts.yml")
    known = load_site(folder)
    rehearsal.down(known.name, known.folder)
    rehearsal.up(known, rehearsal.read_flows(known, ROOT / "app"), medium=vendor.medium)
    try:
        place = Place(known)
        place.prepare(BUNDLE)
        yield place
    finally:
        rehearsal.down(known.name, known.folder)


def _for_both(folder: Path) -> Path:
    """The product's project, with packages for both systems."""
    shutil.copytree(ROOT / "app" / "config", folder / "app" / "config")
    text = (ROOT / "app" / "compose.yaml").read_text()
    for before, after in (("version: 1.0.0", "version: 1.0.2"), ("targets: [debian-13]", "targets: [debian-12, debian-13]")):
        assert before in text
        text = text.replace(before, after)
    (folder / "app" / "compose.yaml").write_text(text)
    return folder / "app"


def _as_they_are(inventory: Path) -> None:
    said = yaml.safe_load(inventory.read_text())
    for group in said["all"]["children"].values():
        for name, host in group["hosts"].items():
            host.update(rehearse_system=SYSTEMS.get(name, "debian-13"), rehearse_docker=name == HAS_DOCKER)
    inventory.write_text(yaml.safe_dump(said))


@pytest.fixture(scope="module")
def before(site: Place) -> dict[str, str]:
    """What apt says and holds on each host before anything was installed."""
    return {host.name: site.on(host.name, APT).stdout for host in site.site.targets}


@pytest.fixture(scope="module")
def planned(site: Place, before: dict[str, str]) -> Facts:
    """The plan, of before."""
    found: Facts = json.loads(site.deploy(f"deployctl plan --json --client {site.client} {VAULT} {USB}/{BUNDLE}").stdout)
    return found


@pytest.fixture(scope="module")
def report(site: Place, planned: Facts) -> Facts:
    """The first install's own report."""
    engine = site.on(HAS_DOCKER, "dpkg-query -W; pidof dockerd").stdout
    found = site.installed(BUNDLE)
    assert site.on(HAS_DOCKER, "dpkg-query -W; pidof dockerd").stdout == engine
    return found


def test_the_plan_names_what_each_host_lacks_and_what_that_weighs(planned: Facts) -> None:
    steps = {name: host["packages"] for name, host in planned["hosts"].items()}
    assert steps.pop(HAS_DOCKER) is None
    assert {name: (step["target"], step["names"]) for name, step in steps.items()} == {
        "web1": ("debian-12", ["docker.io", "docker-compose", "iptables", "nftables"]),
        "app1": ("debian-13", ["docker.io", "docker-cli", "docker-compose", "iptables", "nftables"]),
        "db1": ("debian-13", ["docker.io", "docker-cli", "docker-compose", "iptables", "nftables"]),
    }
    assert all(70e6 < step["size"] < 90e6 for step in steps.values())


def test_bare_hosts_run_the_product_from_the_bundle_alone(site: Place, planned: Facts, report: Facts) -> None:
    assert {one["state"] for one in report["services"]} == {"healthy"}
    assert [flow for flow in report["flows"] if not flow["good"]] == []
    assert report["bytes"] == planned["size"]
    assert site.asked("https://web1:8443/health")["status"] == "ok"
    versions = {name: site.on(name, "docker version -f '{{.Server.Version}}'; docker compose version --short").stdout.split()
                for name in SYSTEMS if name != "deploy"}  # fmt: skip
    assert versions["web1"][0].startswith("20.10.") and versions["app1"][0].startswith("26.1.")
    assert {compose.removeprefix("v") for _, compose in versions.values()} == {"2.26.1-4"}


def test_nothing_of_apts_is_changed_and_nothing_is_left_lying(site: Place, before: dict[str, str], report: Facts) -> None:
    assert {host.name: site.on(host.name, APT).stdout for host in site.site.targets} == before


def test_what_was_installed_is_noted_and_taking_it_away_leaves_the_rest(site: Place, report: Facts) -> None:
    for host, few in (("db1", "debian-13"), ("web1", "debian-12")):
        note = json.loads(site.on(host, "cat /var/lib/deployctl/packages.json").stdout)
        assert {"docker.io", "containerd", "docker-compose", "nftables"} <= set(note["installed"]), few
        assert (note["pending"], note["upgraded"]) == (False, {})
        would = site.on(host, f"apt-get purge -s {' '.join(note['installed'])}").stdout
        gone = {line.split()[1] for line in would.splitlines() if line.startswith("Purg ")}
        assert gone == set(note["installed"])
    assert site.on(HAS_DOCKER, "ls /var/lib/deployctl/packages.json", check=False).returncode != 0


def test_installed_again_nothing_changes(site: Place, report: Facts) -> None:
    again = site.installed(BUNDLE)
    assert (again["changed"], again["bytes"]) == ([], 0)


def test_an_engine_that_is_stopped_is_not_replaced(site: Place, report: Facts) -> None:
    site.on("app1", "systemctl stop docker.socket docker.service")
    told = site.install(BUNDLE, check=False)
    site.on("app1", "systemctl start docker.service")
    assert told.returncode == 4
    assert "docker.io is installed, and is not replaced" in told.stderr
    site.settled()


def test_nothing_tried_to_leave_the_site(site: Place, report: Facts) -> None:
    seen = rehearsal.counts(site.client)
    assert (seen.leak, seen.leak_packets) == (0, ())
