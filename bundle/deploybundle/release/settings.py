"""The product's settings: the variables of its Compose files, as Compose lists them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .compose import Compose, Variable
from .raw import Document

PLACEHOLDER = "1"
"""Answers `${NAME:?}` at the vendor: text, number and truth at once."""


def settings(reader: Compose, docs: Sequence[Document]) -> dict[str, str | None]:
    """Each variable with its default, or None. An empty default, `${NAME:-}`, is told from none in the files' text."""
    text = "\n".join(doc.file.read_text() for doc in docs)
    return {variable.name: _default(variable, text) for variable in reader.variables()}


def _default(variable: Variable, text: str) -> str | None:
    if variable.default:
        return variable.default
    return "" if re.search(r"\$\{" + re.escape(variable.name) + r":?-\}", text) else None


def required_answers(reader: Compose) -> Compose:
    """The same reader, with a placeholder for each variable that Compose insists on."""
    missing = [v.name for v in reader.variables() if v.required and v.name not in reader.environment]
    return reader.with_environment({**dict.fromkeys(missing, PLACEHOLDER), **reader.environment})
