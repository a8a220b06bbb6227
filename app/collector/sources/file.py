"""A source of type `file`: CSV, JSON (an array of objects) or JSON Lines below the permitted folders, plain or gzip."""

import csv
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collector.sources import Batch, Context, SourceError
from collector.sources.chunks import CHUNK, GZIP, limited, text_pieces, unpacked
from collector.sources.formats import JsonPath, json_batches, json_path, line_batches
from collector.sources.opening import open_below, plain_path
from collector.sources.plain import Dialect
from collector.sources.records import within
from collector.sources.tables import Table
from collector.sources.threads import from_thread

FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
Encoding = Literal["utf-8", "utf-16", "iso-8859-1", "iso-8859-15", "windows-1250", "windows-1252"]
Character = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[^\r\n\x00]$")]


class CsvOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    delimiter: Character = Field(",", examples=[",", ";", "\t"])
    quote: Character = '"'
    escape: Character | None = Field(None, description="before a quote within quotes; else it is doubled", examples=["\\"])
    encoding: Encoding = Field("utf-8", description="a byte order mark is skipped")
    columns: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None, min_length=1, max_length=10_000, description="names, for a file whose first line is data already"
    )

    @model_validator(mode="after")
    def differ(self) -> Self:
        try:
            csv.reader([], strict=True, **self.dialect())
        except (TypeError, ValueError) as error:
            raise ValueError(str(error)) from None
        if len({self.delimiter, self.quote, self.escape}) != 3:
            raise ValueError("delimiter, quote and escape must differ")
        if self.columns and len(set(self.columns)) != len(self.columns):
            raise ValueError("a column's name occurs twice")
        return self

    def dialect(self) -> Dialect:
        return {"delimiter": self.delimiter, "quotechar": self.quote, "escapechar": self.escape}

    def codec(self) -> str:
        return "utf-8-sig" if self.encoding == "utf-8" else self.encoding


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(max_length=4096, examples=["/data/samples/readings.csv"]), AfterValidator(plain_path)]
    format: Literal["auto", "csv", "json", "jsonl"] = Field("auto", description="auto: by the ending of the name")
    compression: Literal["auto", "none", "gzip"] = Field("auto", description="auto: by the first two bytes")
    csv: CsvOptions | None = Field(None, description="for CSV alone; without it: commas, UTF-8, names in the first line")
    records: JsonPath = Field("", description="for JSON alone: where the array lies; empty: the document itself")

    @model_validator(mode="after")
    def belong(self) -> Self:
        if self.csv is not None and self.kind() not in ("csv", None):
            raise ValueError(f"`csv` does not belong to the format {self.kind()}")
        if self.records and self.kind() not in ("json", None):
            raise ValueError(f"`records` does not belong to the format {self.kind()}")
        return self

    def kind(self) -> str | None:
        """The format, None if it was not said and the ending tells nothing."""
        return self.format if self.format != "auto" else FORMATS.get(ending(self.path))


def ending(path: str) -> str:
    return PurePosixPath(path.lower().removesuffix(".gz")).suffix


async def collect(config: Config, context: Context) -> AsyncGenerator[Batch, None]:
    async with aclosing(within(from_thread(read(config, context)), context)) as batches:
        async for batch in batches:
            yield batch


def read(config: Config, context: Context) -> Iterator[Batch]:
    """The batches; blocking. Raises SourceError that names file and place."""
    parse = parser(config, context)
    fd = open_below(config.path, context.settings.folders)
    try:
        yield from parse(limited(opened(config, context, fd), context.settings.max_file_bytes))
    except SourceError as error:
        raise SourceError(f"{config.path}: {error.reason}") from None
    except OSError as error:
        raise SourceError(f"{config.path}: cannot be read: {error.strerror}", retryable=True) from None
    finally:
        os.close(fd)


def parser(config: Config, context: Context) -> Callable[[Iterable[bytes]], Iterator[Batch]]:
    longest = context.settings.max_record_bytes
    match config.kind():
        case "csv":
            options = config.csv or CsvOptions()
            return lambda chunks: csv_batches(chunks, options, longest)
        case "json":
            return lambda chunks: json_batches(chunks, json_path(config.records), longest)
        case "jsonl":
            return lambda chunks: line_batches(chunks, longest)
    known = ", ".join(FORMATS)
    raise SourceError(
        f"{config.path}: the ending {ending(config.path) or '(none)'} is none of {known}; say the format in config.format"
    )


def opened(config: Config, context: Context, fd: int) -> Iterator[bytes]:
    packed = config.compression == "gzip" or (config.compression == "auto" and os.pread(fd, 2, 0) == GZIP)
    chunks = chunks_of(fd, context)
    return unpacked(chunks) if packed else chunks


def chunks_of(fd: int, context: Context) -> Iterator[bytes]:
    size, done = os.fstat(fd).st_size, 0
    while chunk := os.read(fd, CHUNK):
        context.check()
        yield chunk
        done += len(chunk)
        context.progress(done, max(size, done))


def csv_batches(chunks: Iterable[bytes], options: CsvOptions, longest: int) -> Iterator[Batch]:
    pieces = text_pieces(chunks, options.codec(), longest)
    return Table(pieces, longest, options.dialect()).batches(options.columns)
