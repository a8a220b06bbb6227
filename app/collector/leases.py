"""What a worker does with a job that it holds: a lease that it renews, fenced by the number of the attempt.

Who ends a job must still hold its newest attempt, and the rows are written in the transaction of that end: so a job ends once.
"""

import random
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Update, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector.models import Job, State
from collector.settings import Settings
from collector.sources import Batch, SourceError

JOBS = Job.__table__.c
CHUNK_COLUMNS = ("job_id", "attempt", "first", "count", "body")


class LeaseLost(Exception):
    """The attempt is over for whoever held it: another one counts, or none any more."""


async def claim(engine: AsyncEngine, job_id: uuid.UUID, worker: str, lease_seconds: int) -> Row[Any] | None:
    """The job, its next attempt held by `worker`; None when it is not waiting (any more)."""
    change = update(Job).where(JOBS.id == job_id, JOBS.state == State.QUEUED, JOBS.due_at <= func.now())
    values = change.values(
        state=State.RUNNING, worker=worker, attempt=JOBS.attempt + 1, lease_until=lease(lease_seconds), progress=None,
        started_at=func.now(), finished_at=None,
    )  # fmt: skip
    async with engine.begin() as connection:
        job: Row[Any] | None = (await connection.execute(values.returning(*JOBS))).one_or_none()
        return job


def lease(seconds: float) -> Any:
    return func.now() + timedelta(seconds=seconds)


def held(job: Row[Any]) -> Update:
    return update(Job).where(JOBS.id == job.id, JOBS.state == State.RUNNING, JOBS.attempt == job.attempt)


async def renew(engine: AsyncEngine, job: Row[Any], lease_seconds: int, progress: dict[str, Any] | None) -> bool:
    """Whether somebody wants it cancelled. Raises LeaseLost."""
    change = held(job).values(lease_until=lease(lease_seconds), progress=progress).returning(JOBS.cancel_requested)
    async with engine.begin() as connection:
        wanted = (await connection.execute(change)).scalar_one_or_none()
    if wanted is None:
        raise LeaseLost
    return bool(wanted)


async def give_back(engine: AsyncEngine, job: Row[Any]) -> None:
    """Queue it again: this worker stops, and nothing is wrong with the job, so the attempt is not held against it."""
    values = held(job).values(
        state=State.QUEUED, worker=None, lease_until=None, published_at=None, max_attempts=JOBS.max_attempts + 1
    )
    async with engine.begin() as connection:
        await connection.execute(values)


async def succeed(engine: AsyncEngine, job: Row[Any], batches: AsyncIterable[Batch], settings: Settings) -> int:
    """Write the rows and the success in one transaction. Raises LeaseLost."""
    counted = Counted(job)
    async with engine.begin() as connection:
        await check_held(connection, job)
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.copy_records_to_table(
            "job_chunks", records=counted.records(batches), columns=CHUNK_COLUMNS, timeout=settings.job_seconds + 60
        )
        await end(connection, job, State.SUCCEEDED, settings, row_count=counted.rows, error=None)
    return counted.rows


class Counted:
    """Batches as rows of job_chunks."""

    def __init__(self, job: Row[Any]) -> None:
        self.job, self.rows = job, 0

    async def records(self, batches: AsyncIterable[Batch]) -> AsyncIterator[tuple[Any, ...]]:
        async for batch in batches:
            if batch:
                yield self.job.id, self.job.attempt, self.rows + 1, len(batch), batch.text
                self.rows += len(batch)


async def check_held(connection: AsyncConnection, job: Row[Any]) -> None:
    wanted = select(JOBS.id).where(JOBS.id == job.id, JOBS.state == State.RUNNING, JOBS.attempt == job.attempt)
    if (await connection.execute(wanted)).one_or_none() is None:
        raise LeaseLost


async def end(connection: AsyncConnection, job: Row[Any], state: State, settings: Settings, **values: Any) -> None:
    now = func.clock_timestamp()  # the transaction, whose time now() gives, began before the collecting
    expires = now + timedelta(days=settings.result_days)
    done = held(job).values(state=state, finished_at=now, lease_until=None, expires_at=expires, **values)
    if (await connection.execute(done)).rowcount != 1:
        raise LeaseLost


async def fail(engine: AsyncEngine, job: Row[Any], error: SourceError, settings: Settings) -> State:
    """The state that it has now: tried again later, dead after the last attempt, or failed. Raises LeaseLost."""
    if error.retryable and job.attempt < job.max_attempts:
        await wait_for_next(engine, job, error, settings)
        return State.QUEUED
    state = State.DEAD if error.retryable else State.FAILED
    async with engine.begin() as connection:
        await end(connection, job, state, settings, error=error.reason)
    return state


async def wait_for_next(engine: AsyncEngine, job: Row[Any], error: SourceError, settings: Settings) -> None:
    due = lease(pause(job.attempt, error, settings))
    values = held(job).values(
        state=case((JOBS.cancel_requested, State.CANCELLED.value), else_=State.QUEUED.value),
        finished_at=case((JOBS.cancel_requested, func.now())),
        error=error.reason, due_at=due, worker=None, lease_until=None, published_at=None,
    )  # fmt: skip
    async with engine.begin() as connection:
        if (await connection.execute(values)).rowcount != 1:
            raise LeaseLost


def pause(attempt: int, error: SourceError, settings: Settings) -> float:
    """Seconds until the next attempt: doubled each time, spread by a quarter, and never before the source permits."""
    seconds: float = min(settings.retry_seconds * 2.0 ** min(attempt - 1, 30), settings.retry_cap_seconds)
    return max(seconds * random.uniform(0.75, 1.25), error.retry_after_seconds or 0.0)


async def cancelled(engine: AsyncEngine, job: Row[Any], settings: Settings) -> None:
    async with engine.begin() as connection:
        await end(connection, job, State.CANCELLED, settings, error=None)
