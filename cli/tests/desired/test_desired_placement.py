"""Which service runs where: as the client says, as the release says, or on the one host there is."""

from __future__ import annotations

from typing import Any

import pytest
from sites import ACME, ONE, release, site

from deployctl.desired.placement import placement

SHOP = release({"api": {"x": {"segment": "internal"}}, "tool": {}})


@pytest.mark.parametrize(
    ("hosts", "place", "wanted"),
    [
        (ONE, {}, {"api": ["srv1"], "tool": ["srv1"]}),
        (ACME, {"tool": "db1"}, {"api": ["app1", "app2"], "tool": ["db1"]}),
        (ACME, {"tool": "dmz", "api": "data"}, {"api": ["db1"], "tool": ["web1"]}),
        (ACME, {"tool": ["app2", "internal", "web1"]}, {"api": ["app1", "app2"], "tool": ["app2", "app1", "web1"]}),
    ],
)
def test_services_find_their_hosts(hosts: Any, place: Any, wanted: dict[str, list[str]]) -> None:
    placed = placement(SHOP, site(hosts, place=place))
    assert {name: [host.name for host in found] for name, found in placed.items()} == wanted
