"""What callers do with jobs: ask for, look at, list, cancel, retry. PostgreSQL has the truth; Redis only says: there is work.

Each change and its line in the audit log are one transaction.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector import database, lookups
from collector.lookups import Lookups, Record
from collector.models import Audit, Job, State

JOBS = Job.__table__.c
RETRYABLE = (State.FAILED, State.DEAD, State.CANCELLED)
BY_ID = lookups.statement(select(*JOBS).where(JOBS.id == bindparam("id")))
JobRow = Row[Any] | Record


@dataclass(frozen=True)
class Caller:
    """Who asks: the API key's name (`anonymous` without authentication), and the request."""

    name: str
    request_id: str | None = None


@dataclass(frozen=True)
class Order:
    """A job that somebody asks for."""

    source_type: str
    config: dict[str, Any]
    max_attempts: int
    idempotency_key: str | None = None


class KeyReused(Exception):
    """The idempotency key came before with another request."""


async def create(engine: AsyncEngine, order: Order, caller: Caller) -> tuple[Row[Any], bool]:
    """The job, and whether it is new: an idempotency key that this caller has used gives that job. Raises KeyReused.

    `published_at` is set already, since the caller puts it into Redis next; where that fails, upkeep finds it."""
    values = {
        "id": uuid.uuid4(), "source_type": order.source_type, "config": order.config, "state": State.QUEUED.value,
        "max_attempts": order.max_attempts, "requested_by": caller.name, "request_id": caller.request_id,
        "idempotency_key": order.idempotency_key, "published_at": func.now(),
    }  # fmt: skip
    async with engine.begin() as connection:
        made = (await connection.execute(upsert(Job).values(values).on_conflict_do_nothing().returning(*JOBS))).one_or_none()
        if made is not None:
            await note(connection, caller, "trigger", made.id)
            return made, True
        found = (await connection.execute(same_key(order, caller))).one()
    if (found.source_type, found.config) != (order.source_type, order.config):
        raise KeyReused
    return found, False


def same_key(order: Order, caller: Caller) -> Select[Any]:
    return select(*JOBS).where(JOBS.requested_by == caller.name, JOBS.idempotency_key == order.idempotency_key)


async def note(connection: AsyncConnection, caller: Caller, action: str, subject: object) -> None:
    values = {"actor": caller.name, "action": action, "subject": str(subject), "request_id": caller.request_id}
    await connection.execute(insert(Audit), values)


async def read(reader: AsyncEngine, statement: Select[Any]) -> list[Row[Any]]:
    async def ask(connection: AsyncConnection) -> list[Row[Any]]:
        return list(await connection.execute(statement))

    return await database.reading(reader, ask)


async def get(lookups: Lookups, job_id: uuid.UUID) -> JobRow | None:
    return await lookups.one(BY_ID, job_id)


@dataclass(frozen=True)
class Filter:
    state: State | None = None
    source_type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    beyond: tuple[datetime, uuid.UUID] | None = None
    """The last job of the page before."""


async def page(reader: AsyncEngine, wanted: Filter, limit: int) -> list[Row[Any]]:
    """Newest first."""
    newest = JOBS.created_at.desc(), JOBS.id.desc()
    return await read(reader, select(*JOBS).where(*conditions(wanted)).order_by(*newest).limit(limit))


def conditions(wanted: Filter) -> list[Any]:
    made = [
        wanted.state and JOBS.state == wanted.state.value,
        wanted.source_type and JOBS.source_type == wanted.source_type,
        wanted.created_after and JOBS.created_at >= wanted.created_after,
        wanted.created_before and JOBS.created_at < wanted.created_before,
        wanted.beyond and tuple_(JOBS.created_at, JOBS.id) < tuple_(*wanted.beyond),
    ]
    return [condition for condition in made if condition is not None]


async def cancel(engine: AsyncEngine, job_id: uuid.UUID, caller: Caller) -> Row[Any] | None:
    """A waiting job is cancelled at once, a running one when its worker hears of it. None: it has ended, or there is none."""
    waiting = JOBS.state == State.QUEUED
    change = update(Job).where(JOBS.id == job_id, JOBS.state.in_([State.QUEUED, State.RUNNING]))
    values = change.values(
        cancel_requested=True,
        state=case((waiting, State.CANCELLED.value), else_=JOBS.state),
        finished_at=case((waiting, func.now()), else_=JOBS.finished_at),
    )
    return await changed(engine, values, caller, "cancel")


async def retry(engine: AsyncEngine, job_id: uuid.UUID, attempts: int, caller: Caller) -> Row[Any] | None:
    """Queue an ended job without a result, with so many attempts more; the old ones stay counted, since they fence. None: it
    has another state, or there is none."""
    change = update(Job).where(JOBS.id == job_id, JOBS.state.in_(RETRYABLE))
    values = change.values(
        state=State.QUEUED, error=None, finished_at=None, cancel_requested=False, progress=None, expires_at=None,
        due_at=func.now(), published_at=func.now(), max_attempts=JOBS.attempt + attempts,
    )  # fmt: skip
    return await changed(engine, values, caller, "retry")


async def changed(engine: AsyncEngine, change: Any, caller: Caller, action: str) -> Row[Any] | None:
    async with engine.begin() as connection:
        job = (await connection.execute(change.returning(*JOBS))).one_or_none()
        if job is not None:
            await note(connection, caller, action, job.id)
        found: Row[Any] | None = job
        return found
