"""Who is called starts before who calls."""

from __future__ import annotations

import time

from hypothesis import given
from sites import release, releases

from deploybundle.release import Release
from deployctl.desired.waves import waves


@given(releases(acyclic=True))
def test_no_service_starts_before_or_with_one_that_it_calls(given: Release) -> None:
    order = waves(given)
    for flow in given.flows:
        if flow.source in order and flow.target in order:
            assert order[flow.target] < order[flow.source]


@given(releases())
def test_waves_count_from_zero_without_a_gap_and_hold_each_service(given: Release) -> None:
    order = waves(given)
    assert order.keys() == given.services.keys()
    assert set(order.values()) == set(range(1 + max(order.values())))


@given(releases())
def test_a_caller_never_starts_before_who_it_calls_whatever_circles_there_are(given: Release) -> None:
    order = waves(given)
    assert all(order[f.target] <= order[f.source] for f in given.flows if {f.source, f.target} <= order.keys())


def test_a_circle_shares_a_wave_above_what_it_calls_and_below_who_calls_it() -> None:
    flows = [("a", "b", 1), ("b", "c", 1), ("c", "a", 1), ("b", "db", 1), ("web", "c", 1)]
    assert waves(release({name: {} for name in ("web", "a", "b", "c", "db")}, flows)) == {
        "db": 0, "a": 1, "b": 1, "c": 1, "web": 2,
    }  # fmt: skip


def test_depends_on_counts_as_a_call() -> None:
    assert waves(release({"api": {"depends_on": {"db": {"condition": "service_healthy"}}}, "db": {}})) == {"api": 1, "db": 0}


def test_many_services_that_all_call_each_other_are_ordered_at_once() -> None:
    """So are those of a plain Compose file, which share its default network."""
    names = [f"s{number}" for number in range(10)]
    began = time.monotonic()
    assert set(waves(release({n: {} for n in names}, [(a, b, 1) for a in names for b in names if a != b])).values()) == {0}
    assert time.monotonic() - began < 5
