"""What the tests of the sources share."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from collector.sources import Batch, Context, SourceError
from collector.sources.settings import SourceSettings

Rows = list[dict[str, Any]]


def context(*folders: Path, secrets: dict[str, str] | None = None, **changes: Any) -> Context:
    known = secrets or {}
    hooks = {name: changes.pop(name) for name in ("progress", "cancelled") if name in changes}

    def secret(name: str) -> SecretStr:
        if name not in known:
            raise SourceError(f"there is no secret {name}")
        return SecretStr(known[name])

    return Context(SourceSettings(folders=folders, **changes), secret, **hooks)


async def rows(batches: AsyncIterator[Batch]) -> Rows:
    return [orjson.loads(text) for batch in await all_batches(batches) for text in batch]


async def all_batches(batches: AsyncIterator[Batch]) -> list[Batch]:
    found = [batch async for batch in batches]
    assert all(len(text.splitlines()) == 1 for batch in found for text in batch if text.isascii())
    return found


async def refusal(batches: Callable[[], AsyncIterator[Batch]]) -> SourceError:
    try:
        found = await all_batches(batches())
    except SourceError as error:
        return error
    raise AssertionError(f"was not refused but gave {found}")
