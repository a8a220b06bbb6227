"""What a database is to this source, and any that has a driver for asyncio."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncResult

from collector.sources import Batch, SourceError
from collector.sources.records import fit
from collector.sources.values import plain


class Dialect:
    """Nothing is ever committed; that nothing else is written is for the account's rights to see to."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def connect(self) -> AsyncConnection:
        return await self.engine.connect()

    async def close(self) -> None:
        await self.engine.dispose()

    async def statement(self, connection: AsyncConnection, query: str) -> TextClause:
        return text(query)

    def names(self, result: AsyncResult[Any]) -> Sequence[str]:
        return distinct(tuple(result.keys()))

    def texts(self, names: Sequence[str], rows: Sequence[Any], first: int) -> Batch:
        try:
            lines = [orjson.dumps(dict(zip(names, map(plain, row), strict=True))) for row in rows]
        except TypeError as error:
            raise SourceError(f"row {first} or one of the {len(rows) - 1} after it: {error}") from None
        return fit(lines, lambda index: f"row {first + index}")

    def may_pass(self, error: BaseException) -> bool:
        """Whether the same may succeed later."""
        return False


def distinct(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"config.query: two columns are named {name!r}; name them with AS")
    return names


def first_line(error: BaseException) -> str:
    """The driver's own words: without the statement, and without the class that an adapter puts before them."""
    text = str(error).partition("\n")[0]
    return text.partition(">: ")[2] if text.startswith("<class ") else text or type(error).__name__
