"""The main job at acme, as a user sees it."""

from __future__ import annotations

import pytest

from places import Place

pytestmark = pytest.mark.e2e
BUNDLE = "collector-1.0.0.bundle.tar"


@pytest.fixture(scope="module")
def report(acme: Place) -> dict[str, object]:
    """What the first install says."""
    acme.reset()
    return acme.installed(BUNDLE)


def test_every_service_is_healthy_on_its_host(report: dict[str, list[dict[str, object]]]) -> None:
    found = {(one["host"], one["service"]): one["state"] for one in report["services"]}
    assert found == {
        ("web1", "nginx"): "healthy", ("app1", "api"): "healthy", ("app1", "worker"): "healthy", ("app2", "api"): "healthy",
        ("app2", "worker"): "healthy", ("db1", "postgres"): "healthy", ("db1", "redis"): "healthy",
    }  # fmt: skip
