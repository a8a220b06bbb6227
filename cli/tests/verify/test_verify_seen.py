"""Health and flows: from what hosts say to verdicts."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from sites import ONE, bare, site

from deploybundle.release import Port
from deployctl.desired.flows import Leaving, SiteFlows
from deployctl.hosts import ssh
from deployctl.site import Host, Site
from deployctl.verify import FlowVerdict, Tried, blocked, broken, health, try_ahead, try_flows, unrecorded
from deployctl.verify.flows import _over_ipv6


def verdict(seen: str, promised_open: bool) -> FlowVerdict:
    return FlowVerdict("app1", "api", "db", "10.0.0.1", 5432, promised_open, seen, "no flow")


@pytest.mark.parametrize(
    ("seen", "promised_open", "good"),
    [
        ("open", True, True), ("open", False, False),
        ("refused", True, False), ("refused", False, True),
        ("timeout", True, False), ("timeout", False, True),
        ("unreachable", True, False), ("unreachable", False, True),
        ("no-container", True, False), ("no-container", False, False),
    ],
)  # fmt: skip
def test_a_promise_is_kept_or_broken(seen: str, promised_open: bool, good: bool) -> None:
    assert verdict(seen, promised_open).good == good


@pytest.mark.parametrize(("seen", "good"), [("open", True), ("refused", True), ("timeout", False), ("no-container", False)])
def test_where_a_flow_is_only_supposed_nobody_needs_to_listen_but_nothing_may_be_shut(seen: str, good: bool) -> None:
    assert replace(verdict(seen, True), supposed=True).good == good
    assert not replace(verdict("open", False), supposed=True).good


def test_a_broken_promise_says_from_where_to_where() -> None:
    assert str(verdict("open", False)) == "app1: api → db (10.0.0.1:5432) is open, promised shut"
    assert str(verdict("timeout", True)) == "app1: api → db (10.0.0.1:5432) is timeout, promised open"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def here() -> Site:
    """A site whose one host is this machine."""
    made = site(ONE)
    return Site(
        "acme", made.folder, {"srv1": Host("srv1", "127.0.0.1", "server", {"ansible_connection": "local"})}, made.client
    )


def probe(port: int, source: str | None = None) -> dict[str, Any]:
    name = f"{source}>{port}"
    return {"id": name, "source": source, "target": "t", "address": "127.0.0.1", "port": port, "protocol": "tcp",
            "open": True, "why": "w", "supposed": False}  # fmt: skip


@pytest.mark.docker
def test_a_probe_is_tried_where_it_would_come_from(listening: int) -> None:
    tried = try_flows(here(), "no-such-project", {"srv1": [probe(listening), probe(1), probe(listening, "api")]})
    assert [(each.source, each.seen, each.good) for each in tried if ":" not in each.address] == [
        ("the host itself", "open", True), ("the host itself", "refused", False), ("api", "no-container", False),
    ]  # fmt: skip


def test_every_pair_is_tried_over_ipv6_but_what_only_our_own_watch_would_hear() -> None:
    pairs = [
        {**probe(1, source), "protocol": protocol, "open": promised}
        for source in (None, "api")
        for protocol in ("tcp", "udp")
        for promised in (True, False)
    ]
    found = _over_ipv6("srv1", pairs, {"srv1": ["fd00::1"]}, here())
    assert [(one["source"], one["protocol"]) for one in found] == [(None, "tcp")] * 2 + [("api", "tcp")] * 2 + [
        ("api", "udp")
    ] * 2
    assert {(one["open"], one["address"]) for one in found} == {(False, "fd00::1")}


@pytest.mark.docker
@pytest.mark.skipif(os.getuid() != 0, reason="marks and watches as root")
def test_udp_that_arrives_is_open_though_nobody_answers() -> None:
    silent = {**probe(free_port()), "protocol": "udp", "open": False}
    (tried,) = (each for each in try_flows(here(), "no-such-project", {"srv1": [silent]}) if ":" not in each.address)
    assert (tried.seen, tried.good) == ("open", False)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_what_is_broken_is_one_error_with_the_way_out() -> None:
    assert broken([verdict("open", True), verdict("refused", False)]) is None
    problem = broken([verdict("timeout", True), verdict("open", False), verdict("no-container", True)])
    assert problem and problem.exit_code == 6
    assert "2 of 3 connections are not as promised; 1 services could not be tried" in str(problem)
    assert "deployctl flows" in problem.hint and "deployctl install" in problem.hint


def test_where_nothing_is_to_be_tried_no_host_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "ask", None)
    assert try_flows(here(), "shop", {"srv1": []}) == []


def container(**changes: Any) -> dict[str, Any]:
    return {"service": "api", "state": "running", "health": "", "exit_code": 0, "labels": {}} | changes


@pytest.mark.parametrize(
    ("containers", "state", "good"),
    [
        ([container()], "running", True),
        ([container(health="healthy")], "healthy", True),
        ([container(health="unhealthy")], "unhealthy", False),
        ([container(health="starting")], "starting", False),
        ([container(state="exited", exit_code=137, health="unhealthy")], "exited (137)", False),
        ([container(state="restarting", exit_code=1)], "restarting (1)", False),
        ([container(service="other")], "missing", False),
        ([], "missing", False),
    ],
)
def test_a_service_is_as_well_as_its_container(containers: list[dict[str, Any]], state: str, good: bool) -> None:
    record = {"services": {"api": {}}, "release": {"version": "1.0.0"}}
    (one,) = health({"srv1": bare(containers=containers, record=record)})
    assert (one.host, one.service, one.version, one.state, one.good) == ("srv1", "api", "1.0.0", state, good)


def test_a_host_without_a_record_has_no_services() -> None:
    assert health({"srv1": bare(containers=[container()])}) == []


def test_what_runs_and_no_record_names_is_told_apart() -> None:
    migration = container(service="api-migrate", state="exited", labels={"com.docker.compose.oneoff": "True"})
    there = bare(containers=[container(health="healthy"), container(service="db", state="exited", exit_code=1), migration])
    found = unrecorded({"srv1": there})
    assert [(one.service, one.version, one.state, one.good, one.recorded) for one in found] == [
        ("api", "-", "healthy", True, False), ("db", "-", "exited (1)", False, False),
    ]  # fmt: skip
    record = {"services": {"api": {}}, "release": {"version": "1.0.0"}}
    assert [one.service for one in unrecorded({"srv1": there | {"record": record}})] == ["db"]


def tried(seen: str, *, protocol: str = "tcp", ours: bool = True) -> Tried:
    return Tried("app1", "db1", "10.0.0.1", protocol, 5432, "api → db", seen, ours)


def test_a_blocked_flow_says_from_where_to_where_and_how() -> None:
    assert blocked([tried("open"), tried("timeout", protocol="udp", ours=False)]) is None
    problem = blocked([tried("open"), tried("timeout"), tried("refused", protocol="udp")])
    assert problem and problem.exit_code == 6
    assert str(problem).splitlines() == [
        "2 of 3 flows do not get through",
        "  app1 → db1 (10.0.0.1:5432/tcp), for api → db: timed out",
        "  app1 → db1 (10.0.0.1:5432/udp), for api → db: refused",
    ]


@pytest.mark.docker
@pytest.mark.skipif(os.getuid() != 0, reason="marks and watches as root")
def test_a_flow_is_tried_before_anything_is_installed_with_a_listener_for_the_moment() -> None:
    port = free_port()
    ways: list[Literal["tcp", "udp"]] = ["tcp", "udp"]
    flows = SiteFlows((), tuple(Leaving("srv1", "api", "db", "srv1", "127.0.0.1", Port(port, way)) for way in ways), ())
    assert [(one.protocol, one.seen) for one in try_ahead(here(), "no-such-project", flows)] == [
        ("tcp", "open"),
        ("udp", "open"),
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
