"""Which release is older."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployctl.plan.version import older

RISING = [
    ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"],  # SemVer, 11
    ["0.9", "1.0rc1", "1.0", "1.0.1", "1.2", "1.10"],
    ["2026.9", "2026.11", "2027.1"],
    ["r9", "r10"],
]


@pytest.mark.parametrize(("one", "other"), [pair for versions in RISING for pair in zip(versions, versions[1:], strict=False)])
def test_the_one_that_came_first_is_older(one: str, other: str) -> None:
    assert older(one, other)
    assert not older(other, one)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0.0"), ("1.0.0+build1", "1.0.0+build2"), ("1.0-RC1", "1.0-rc1")])
def test_what_is_the_same_is_not_older(one: str, other: str) -> None:
    assert not older(one, other)
    assert not older(other, one)


VERSIONS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._+-]{0,12}", fullmatch=True)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_any_versions_have_one_order(a: str, b: str, c: str) -> None:
    assert not (older(a, b) and older(b, a))
    assert not (older(a, b) and older(b, c)) or older(a, c)
