"""Power: all hosts off and on again in every order, with the deploy node off. Healthy by itself, each time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from deployctl import rehearsal
from places import Place

pytestmark = pytest.mark.e2e
BUNDLE = "collector-1.0.0.bundle.tar"
HOSTS = ("db1", "app1", "app2", "web1")
FEW = (HOSTS, HOSTS[::-1])
"""Who is called first, and who is called last: the best and the worst."""
APART = 1.0
"""Seconds between two machines that are switched on."""
PATIENCE = 180.0
HEALTH = "docker ps -a --format '{{.Names}} {{.Status}}'"


@pytest.fixture(scope="module")
def dark(acme: Place) -> Iterator[Place]:
    """The site with the product, its deploy node off."""
    acme.install(BUNDLE)
    rehearsal.power_off(acme.client, "deploy")
    yield acme
    rehearsal.power_on(acme.client, "deploy")
    acme.settled()


def healthy(place: Place, host: str) -> bool:
    lines = [line for line in place.on(host, HEALTH, check=False).stdout.splitlines() if line.startswith("collector-")]
    return bool(lines) and all("(healthy)" in line for line in lines)


def answers(place: Place) -> bool:
    tried = f"curl -sk -m 3 -o /dev/null -w '%{{http_code}}' https://{place.site.hosts['web1'].address}:8443/health"
    return place.on("clients", tried, check=False).stdout == "200"


def through_the_dark(place: Place, order: tuple[str, ...]) -> float:
    """Seconds from the first machine that is switched on until all is healthy and users are answered."""
    with ThreadPoolExecutor(len(order)) as pool:
        list(pool.map(lambda host: rehearsal.power_off(place.client, host), order))
    began = time.monotonic()
    for host in order:
        rehearsal.power_on(place.client, host)
        time.sleep(APART)
    while time.monotonic() - began < PATIENCE:
        if all(healthy(place, host) for host in order) and answers(place):
            return time.monotonic() - began
        time.sleep(1)
    seen = {host: place.on(host, HEALTH, check=False).stdout for host in order}
    raise AssertionError(f"not healthy after {PATIENCE:.0f} s, on in the order {order}: {seen}")


def report(request: pytest.FixtureRequest, order: tuple[str, ...], seconds: float) -> None:
    request.config.get_terminal_writer().line(f" {'-'.join(order)}: healthy after {seconds:.1f} s")


@pytest.mark.parametrize("order", FEW, ids="-".join)
def test_the_site_gets_healthy_by_itself(dark: Place, order: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    report(request, order, through_the_dark(dark, order))


@pytest.mark.full
@pytest.mark.parametrize("order", [one for one in permutations(HOSTS) if one not in FEW], ids="-".join)
def test_the_site_gets_healthy_in_every_order(dark: Place, order: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    report(request, order, through_the_dark(dark, order))
