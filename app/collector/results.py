"""The rows of a job that succeeded: a page, or all of them as JSON Lines or CSV, streamed chunk by chunk.

No connection is held while a slow reader takes its time: each step asks for the next chunks by number.
"""

import asyncio
import csv
import io
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import jobs
from collector.models import Chunk

CHUNKS = Chunk.__table__.c
AT_ONCE = 8


async def chunks(reader: AsyncEngine, job_id: uuid.UUID, after: int, limit: int) -> list[Any]:
    """Up to `limit` chunks that hold rows after the number `after`."""
    last = CHUNKS.first + CHUNKS["count"] - 1
    wanted = select(CHUNKS.first, last.label("last"), CHUNKS.body).where(CHUNKS.job_id == job_id, last > after)
    return await jobs.read(reader, wanted.order_by(CHUNKS.first).limit(limit))


async def page(reader: AsyncEngine, job_id: uuid.UUID, after: int, limit: int) -> list[str]:
    """Rows as JSON texts."""
    rows: list[str] = []
    while len(rows) < limit:
        found = await chunks(reader, job_id, after + len(rows), AT_ONCE)
        if not found:
            break
        for chunk in found:
            rows += chunk.body.split("\n")[:-1][after + len(rows) + 1 - chunk.first :]
    return rows[:limit]


async def bodies(reader: AsyncEngine, job_id: uuid.UUID) -> AsyncIterator[str]:
    after = 0
    while found := await chunks(reader, job_id, after, AT_ONCE):
        for chunk in found:
            yield chunk.body
        after = found[-1].last


async def json_lines(reader: AsyncEngine, job_id: uuid.UUID) -> AsyncIterator[bytes]:
    async for body in bodies(reader, job_id):
        yield body.encode()


async def csv_lines(reader: AsyncEngine, job_id: uuid.UUID) -> AsyncIterator[bytes]:
    """A header of every name that occurs in any row, in order of appearance: so the rows are read twice."""
    names: dict[str, None] = {}
    async for body in bodies(reader, job_id):
        await asyncio.to_thread(gather_names, body, names)
    yield line(list(names))
    async for body in bodies(reader, job_id):
        yield await asyncio.to_thread(as_csv, body, names)


def gather_names(body: str, names: dict[str, None]) -> None:
    for text in body.split("\n")[:-1]:
        names.update(dict.fromkeys(json.loads(text)))


def as_csv(body: str, names: dict[str, None]) -> bytes:
    rows = (json.loads(text) for text in body.split("\n")[:-1])
    return b"".join(line([cell(row.get(name)) for name in names]) for row in rows)


def line(cells: list[str]) -> bytes:
    """RFC 4180."""
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


def cell(value: Any) -> str:
    """A text as it is, nothing for null, everything else as JSON has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
