"""A source of type `file`: CSV, JSON (an array of objects) or JSON Lines, below the permitted folders only.

A path may not lead out by a link either: the file is opened first, and what was opened is then asked where it really
lies, so nobody can exchange it in between.
"""

import csv
import itertools
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

Rows = list[dict[str, Any]]
FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
csv.field_size_limit(2**20)


class SourceError(Exception):
    """The source cannot be read as asked: whoever wrote the job or the file must act."""


def read(path: str, form: str, folders: Iterable[Path], max_bytes: int, max_rows: int) -> Iterator[Rows]:
    """The rows in batches. Raises SourceError, with the place."""
    with open_below(path, folders, max_bytes) as file:
        rows = parse(file, form if form != "auto" else format_of(path))
        limited = limit(checked(rows), max_rows)
        while batch := list(itertools.islice(limited, 500)):
            yield batch


def format_of(path: str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise SourceError(f"{path}: the ending {suffix or '(none)'} is none of {known}; say the format in config.format")
    return FORMATS[suffix]


def open_below(path: str, folders: Iterable[Path], max_bytes: int) -> TextIO:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{path}: cannot be opened: {reason}") from None
    try:
        check_opened(path, fd, folders, max_bytes)
        return os.fdopen(fd, encoding="utf-8-sig", newline="")
    except BaseException:
        os.close(fd)
        raise


def check_opened(path: str, fd: int, folders: Iterable[Path], max_bytes: int) -> None:
    real = Path(f"/proc/self/fd/{fd}").readlink()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        raise SourceError(f"{path}: is not below a permitted folder")
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{path}: is not a regular file")
    if status.st_size > max_bytes:
        raise SourceError(f"{path}: has {status.st_size} bytes, permitted are {max_bytes}")


def parse(file: TextIO, form: str) -> Iterator[dict[str, Any]]:
    try:
        yield from {"csv": parse_csv, "json": parse_json, "jsonl": parse_jsonl}[form](file)
    except UnicodeDecodeError as error:
        raise SourceError(f"is not UTF-8: {error}") from None
    except RecursionError:
        raise SourceError("is nested too deeply") from None


def parse_csv(file: TextIO) -> Iterator[dict[str, Any]]:
    reader = csv.reader(file, strict=True)
    try:
        names = next(reader, None)
        check_names(names)
        for values in reader:
            if values:
                yield csv_row(names or [], values, reader.line_num)
    except csv.Error as error:
        raise SourceError(f"line {reader.line_num}: {error}") from None


def check_names(names: list[str] | None) -> None:
    if not names or not all(names):
        raise SourceError("line 1: a header with a name for each column is needed")
    if len(set(names)) != len(names):
        raise SourceError("line 1: a column's name occurs twice")


def csv_row(names: list[str], values: list[str], line: int) -> dict[str, Any]:
    if len(values) != len(names):
        raise SourceError(f"line {line}: has {len(values)} values, the header {len(names)}")
    return dict(zip(names, values, strict=True))


def parse_json(file: TextIO) -> Iterator[dict[str, Any]]:
    content = loads(file.read(), "")
    if not isinstance(content, list):
        raise SourceError("must be an array of objects")
    for number, row in enumerate(content, 1):
        yield an_object(row, f"item {number}")


def parse_jsonl(file: TextIO) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield an_object(loads(line, f"line {number}: "), f"line {number}")


def loads(content: str, place: str) -> Any:
    try:
        return json.loads(content, parse_constant=refuse_constant)
    except ValueError as error:
        raise SourceError(f"{place}{error}") from None


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def an_object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise SourceError(f"{place}: is not an object")
    return row


def checked(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Refuse what PostgreSQL's jsonb cannot hold: infinite numbers, lone surrogates, the character NUL."""
    for number, row in enumerate(rows, 1):
        try:
            text = json.dumps(row, allow_nan=False, ensure_ascii=False)
            text.encode()
        except ValueError as error:
            raise SourceError(f"row {number}: {error}") from None
        if "\\u0000" in text.replace("\\\\", ""):
            raise SourceError(f"row {number}: holds the character NUL")
        yield row


def limit(rows: Iterator[dict[str, Any]], most: int) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        if number > most:
            raise SourceError(f"has more than the {most} rows that are permitted")
        yield row
