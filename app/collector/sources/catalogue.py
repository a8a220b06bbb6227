"""The source types."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from collector.sources import Batch, Context, api, database, file


@dataclass(frozen=True)
class Source:
    Config: type[BaseModel]
    collect: Callable[[Any, Context], AsyncIterator[Batch]]


SOURCES = {
    "api": Source(api.Config, api.collect),
    "database": Source(database.Config, database.collect),
    "file": Source(file.Config, file.collect),
}
