"""The small readers beside Compose: variables in paths, the table of variables, flow targets."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybundle.release.compose import Variable, parse_variables
from deploybundle.release.raw import interpolate, load_yaml, open_variables
from deploybundle.release.schema import TO

NAMES = st.text(string.ascii_uppercase, min_size=1, max_size=8)
PLAIN = st.text(string.ascii_letters + string.digits + "/._-", max_size=20)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"), ("$A/x", "1/x"), ("${B:-d}", "d"), ("${B-d}", "d"), ("${E:-d}", "d"), ("${E-d}", ""),
        ("${A:+y}", "y"), ("${B:+y}", ""), ("$$A", "$A"), ("${A:?must}", "1"), ("plain", "plain"),
    ],
)  # fmt: skip
def test_variables_of_a_path(text: str, value: str) -> None:
    assert interpolate(text, {"A": "1", "E": ""}) == value


@given(PLAIN)
def test_text_without_variables_stays(text: str) -> None:
    assert interpolate(text, {}) == text
    assert open_variables(text, {}) == []


@given(PLAIN, NAMES, PLAIN)
def test_an_open_variable_is_found_and_a_default_or_an_answer_closes_it(before: str, name: str, after: str) -> None:
    assert open_variables(f"{before}${{{name}}}{after}", {}) == [name]
    assert open_variables(f"{before}${{{name}:-{after}}}", {}) == []
    assert open_variables(f"{before}${{{name}}}{after}", {name: "x"}) == []


ROWS = st.lists(st.tuples(NAMES, st.booleans(), PLAIN, PLAIN), max_size=5, unique_by=lambda row: row[0])


@given(ROWS)
def test_the_table_of_variables_is_cut_at_its_columns(rows: list[tuple[str, bool, str, str]]) -> None:
    lines = [f"{'NAME':20}{'REQUIRED':20}{'DEFAULT VALUE':25}ALTERNATE VALUE"]
    lines += [f"{name:20}{str(required).lower():20}{default:25}{other}" for name, required, default, other in rows]
    expected = sorted((Variable(name, required, default) for name, required, default, _ in rows), key=lambda v: v.name)
    assert parse_variables("\n".join(lines)) == expected


@given(st.integers(0, 99999), st.sampled_from(["", "/tcp", "/udp"]))
def test_a_target_is_a_name_and_a_port(port: int, protocol: str) -> None:
    assert TO.fullmatch(f"api-1.x:{port}{protocol}")
    assert not TO.fullmatch(f"api:{port}{protocol}\n")


def test_dates_stay_text_and_tags_of_compose_are_read() -> None:
    assert load_yaml("{a: 2021-01-01, b: !reset null, c: !override [1]}") == {"a": "2021-01-01", "b": "null", "c": [1]}
