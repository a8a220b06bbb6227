"""The source types."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from collector.sources import Batch, Context, SourceError, encode, files


def plain_path(value: str) -> str:
    """An absolute path without `.`, `..` or doubled slashes. Which folders are permitted is checked later."""
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or str(path) != value or "\0" in value:
        raise ValueError("must be an absolute path without '.', '..' or doubled slashes")
    return value


class FileConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(max_length=4096, examples=["/data/samples/readings.csv"]), AfterValidator(plain_path)]
    format: Literal["auto", "csv", "json", "jsonl"] = "auto"


async def collect_file(config: FileConfig, context: Context) -> AsyncIterator[Batch]:
    settings = context.settings
    batches = files.read(config.path, config.format, settings.folders, settings.max_file_bytes, settings.max_rows)
    try:
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            context.check()
            yield [encode(row) for row in batch]
    except files.SourceError as error:
        raise SourceError(str(error)) from None


@dataclass(frozen=True)
class Source:
    Config: type[BaseModel]
    collect: Callable[[Any, Context], AsyncIterator[Batch]]


SOURCES = {"file": Source(FileConfig, collect_file)}
