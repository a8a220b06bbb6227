"""From what stands below `x-deployctl` to its types, or to problems with the key's path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from deploybundle.errors import did_you_mean

from .problems import Problem

Model = TypeVar("Model", bound=BaseModel)
_KINDS = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
_EXPECTED = {
    "string_type": "text", "int_type": "a whole number", "list_type": "a list", "dict_type": "a mapping",
    "model_type": "a mapping", "bool_type": "true or false",
}  # fmt: skip


def parse(model: type[Model], value: Any, place: str) -> tuple[Model, list[Problem]]:
    """`value` as `model`, and what is wrong with it; wrong keys are left out of the model. `place`: file and key."""
    try:
        return model.model_validate({} if value is None else value), []
    except ValidationError as error:
        details: list[dict[str, Any]] = [dict(detail) for detail in error.errors()]
        wrong = {str(detail["loc"][0]) for detail in details if detail["loc"]}
        sound = {key: part for key, part in value.items() if key not in wrong} if isinstance(value, Mapping) else {}
        return model.model_validate(sound), [_problem(model, detail, value, place) for detail in details]


def _problem(model: type[BaseModel], detail: Mapping[str, Any], value: Any, place: str) -> Problem:
    loc: Sequence[str | int] = detail["loc"]
    where = place + _path(loc, value)
    match detail["type"]:
        case "extra_forbidden":
            return Problem(where, "unknown key", did_you_mean(str(loc[-1]), _known_keys(model, loc[:-1])))
        case "missing":
            return Problem(where, "missing")
        case "literal_error":
            known = [word.strip("' ") for word in detail["ctx"]["expected"].replace(" or ", ",").split(",")]
            return Problem(where, f'unknown value "{detail["input"]}"', did_you_mean(str(detail["input"]), known))
        case "string_pattern_mismatch":
            return Problem(where, f'"{detail["input"]}" is no such name', "letters and digits, and - _ . + between them")
        case kind if kind in _EXPECTED:
            return Problem(where, f"expected {_EXPECTED[kind]}, got {_got(detail['input'])}", _quote(kind, detail["input"]))
        case _:
            return Problem(where, detail["msg"].removeprefix("Value error, "))


def _path(loc: Sequence[str | int], value: Any) -> str:
    """`.flows[2].to`: as far as the user's own value has parts (one name may stand where a list is meant)."""
    path = ""
    for part in loc:
        if not isinstance(value, Mapping | list):
            return path
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
        value = value[part] if isinstance(part, int) and isinstance(value, list) else _get(value, part)
    return path


def _get(value: Any, key: str | int) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _known_keys(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys of the model at `loc`, found by the names on the way."""
    for part in loc:
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        inner = _inner_model(field.annotation) if field else None
        model = inner or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_inner_model(part) for part in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found), None)


def _got(value: Any) -> str:
    if value is None:
        return "nothing"
    kind = _KINDS.get(type(value), type(value).__name__)
    return kind if isinstance(value, dict | list) else f"{kind} ({value})"


def _quote(kind: str, value: Any) -> str:
    return f'write "{value}", in quotes' if kind == "string_type" and isinstance(value, int | float) else ""
