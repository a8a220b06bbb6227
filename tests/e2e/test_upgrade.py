"""1.1.0 over 1.0.0, and back: what changed is sent and made again, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from places import USB, VAULT, Place

pytestmark = pytest.mark.e2e
OLD, NEW = "collector-1.0.0.bundle.tar", "collector-1.1.0.bundle.tar"
API = "https://web1:8443"
APP = {f"{host}/collector-{service}-1" for host in ("app1", "app2") for service in ("api", "worker")}
MIGRATED = """select host from steps where task like '%Run the migrations' and changed
and run = (select id from runs order by started desc limit 1)"""


class Step:
    """What was there before a step, what it said, and what is there after."""

    def __init__(self, place: Place, bundle: str, *words: str) -> None:
        self.place, self.before = place, place.containers()
        planned = place.deploy(f"deployctl plan --client {place.client} {VAULT} --json {USB}/{bundle}")
        self.planned: dict[str, Any] = json.loads(planned.stdout)
        self.moved = place.containers() != self.before
        self.report = place.installed(bundle, *words)
        self.after = place.containers()

    @property
    def remade(self) -> set[str]:
        """The containers that are others than before."""
        return {name for name in self.after if self.before.get(name) != self.after[name]}

    def record(self, which: str) -> str:
        """The version of a release in the record of app1."""
        text = self.place.on("app1", "cat /var/lib/deployctl/collector/record.json").stdout
        return str(json.loads(text)[which]["version"])


@pytest.fixture(scope="module")
def job(acme: Place) -> str:
    """Where the result is of a job that 1.0.0 took."""
    acme.install(OLD)
    body = json.dumps({"source_type": "file", "config": {"path": "/data/samples/readings.csv"}})
    taken = acme.asked(f"{API}/api/v1/jobs/trigger", "-H", "Content-Type: application/json", "-d", body)
    return str(taken["result_url"])


@pytest.fixture(scope="module")
def upgrade(acme: Place, job: str) -> Step:
    """1.1.0 over 1.0.0."""
    return Step(acme, NEW)


@pytest.fixture(scope="module")
def way_back(upgrade: Step) -> Step:
    """1.0.0 again, on purpose."""
    return Step(upgrade.place, OLD, "--older")


def test_the_plan_changes_nothing_and_tells_the_bytes_that_are_sent(upgrade: Step) -> None:
    assert not upgrade.moved
    assert upgrade.planned["size"] == upgrade.report["bytes"] > 0


def test_only_the_changed_layers_are_sent(upgrade: Step) -> None:
    sent = {host: steps["images"] for host, steps in upgrade.planned["hosts"].items() if steps["images"]}
    assert set(sent) == {"app1", "app2"}
    for images in sent.values():
        assert [image["ref"] for image in images] == ["collector/app:1.1.0"]
        assert images[0]["size"] < 100_000


def test_only_what_changed_is_made_again(upgrade: Step) -> None:
    assert set(upgrade.after) == set(upgrade.before)
    assert upgrade.remade == APP


def test_the_new_version_is_healthy_isolated_and_answers(upgrade: Step) -> None:
    assert [one for one in upgrade.report["services"] if one["state"] != "healthy" or one["version"] != "1.1.0"] == []
    assert [flow for flow in upgrade.report["flows"] if not flow["good"]] == []
    health = upgrade.place.asked(f"{API}/health")
    assert (health["status"], health["version"]) == ("ok", "1.1.0")


def test_the_migration_ran_once(upgrade: Step) -> None:
    assert upgrade.place.journal(MIGRATED) == [["app1"]]


def test_the_record_says_what_is_there_and_what_was(upgrade: Step) -> None:
    assert (upgrade.record("release"), upgrade.record("previous")) == ("1.1.0", "1.0.0")


def test_again_there_is_nothing_to_do(upgrade: Step) -> None:
    again = Step(upgrade.place, NEW)
    assert (again.report["changed"], again.report["bytes"], again.remade) == ([], 0, set())


def test_an_older_release_is_refused_unless_somebody_says_that_it_is_meant(upgrade: Step) -> None:
    refused = upgrade.place.install(OLD, check=False)
    assert refused.returncode == 1
    assert "collector 1.1.0 is installed, newer than 1.0.0 of the bundle" in refused.stderr
    assert "--older" in refused.stderr
    assert upgrade.place.containers() == upgrade.after


def test_the_way_back_needs_no_bytes(way_back: Step) -> None:
    assert (way_back.planned["size"], way_back.report["bytes"]) == (0, 0)
    assert way_back.remade == APP
    assert way_back.place.asked(f"{API}/health")["version"] == "1.0.0"
    assert (way_back.record("release"), way_back.record("previous")) == ("1.0.0", "1.1.0")


def test_the_data_are_still_there_after_both(way_back: Step, job: str) -> None:
    assert way_back.place.asked(API + job)["total"] > 0
