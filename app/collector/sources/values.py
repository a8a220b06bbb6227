"""Values of databases as JSON, as PostgreSQL's to_json writes them: numbers with all their digits, bytes as \\x and hex,
what JSON has no form for as text."""

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson


def number(value: float) -> Any:
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def whole(value: int) -> Any:
    return value if -(2**63) <= value < 2**63 else orjson.Fragment(str(value))


def decimal(value: Decimal) -> Any:
    return orjson.Fragment(str(value)) if value.is_finite() else str(value)


def octets(value: bytes | memoryview) -> str:
    return f"\\x{value.hex()}"


def same(value: Any) -> Any:
    return value


def several(value: Any) -> list[Any]:
    return [plain(each) for each in value]


def named(value: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): plain(each) for name, each in value.items()}


FORMS: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys((str, bool, type(None), datetime, date, time, UUID), same),
    **dict.fromkeys((bytes, bytearray, memoryview), octets),
    **dict.fromkeys((list, tuple), several),
    **{float: number, int: whole, Decimal: decimal, dict: named, timedelta: str},
}


def plain(value: Any) -> Any:
    """The value as orjson takes it."""
    return FORMS.get(type(value), str)(value)
