"""What pydantic finds wrong with a value, in our words: what was expected, and what stands there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Detail = Mapping[str, Any]
SIZE = r"^[1-9][0-9]*[bkmg]?$"
SHAPES = {SIZE: "a size such as 512m or 2g"}
EXPECTED: dict[str, str | Callable[[Detail], str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "names with values",
    "model_type": "names with values",
    "too_short": "at least one",
    "ip_v4_address": "an IPv4 address, such as 10.77.60.5",
    "ip_v4_network": "an IPv4 network, such as 10.77.50.0/24 (no address of a host)",
    "greater_than": lambda detail: f"more than {detail['ctx']['gt']:g}",
    "greater_than_equal": lambda detail: f"{detail['ctx']['ge']:g} or more",
    "less_than_equal": lambda detail: f"{detail['ctx']['le']:g} or less",
    "string_pattern_mismatch": lambda detail: SHAPES.get(detail["ctx"]["pattern"], f"text like {detail['ctx']['pattern']}"),
    "literal_error": lambda detail: str(detail["ctx"]["expected"]),
}


def words(detail: Detail) -> str:
    """One finding of a ValidationError for a person."""
    got = "nothing" if detail["input"] is None else repr(detail["input"])[:120]
    said = EXPECTED.get(detail["type"])
    if said is None:
        return f"{detail['msg'].removeprefix('Value error, ')}, got {got}"
    return f"expected {said if isinstance(said, str) else said(detail)}, got {got}"
