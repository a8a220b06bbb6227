"""What happens to a job in PostgreSQL. Redis only says that there is work; the truth is here.

A worker holds a job by a lease that it renews; whoever finishes must still hold it, so a job is never finished twice.
"""

import uuid
from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, Update, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from collector.models import Job, Row, State

Rows = list[dict[str, Any]]


class LeaseLost(Exception):
    """Another worker took the job over in the meantime; its result counts."""


async def create(engine: AsyncEngine, source_type: str, config: dict[str, Any]) -> Job:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        job = Job(source_type=source_type, config=config, state=State.QUEUED)
        session.add(job)
        await session.commit()
        return job


async def get(engine: AsyncEngine, job_id: uuid.UUID) -> Job | None:
    async with AsyncSession(engine) as session:
        return await session.get(Job, job_id)


async def rows(engine: AsyncEngine, job_id: uuid.UUID, after: int, limit: int) -> Rows:
    async with engine.connect() as connection:
        found = await connection.execute(page(job_id, after, limit))
        return [data for (data,) in found]


def page(job_id: uuid.UUID, after: int, limit: int) -> Select[Any]:
    return select(Row.data).where(Row.job_id == job_id, Row.number > after).order_by(Row.number).limit(limit)


def lease(seconds: int) -> Any:
    return func.now() + timedelta(seconds=seconds)


def free() -> Any:
    return or_(Job.state == State.QUEUED, and_(Job.state == State.RUNNING, Job.lease_until < func.now()))


async def claim(engine: AsyncEngine, job_id: uuid.UUID, worker: str, lease_seconds: int) -> Job | None:
    """The job, now held by `worker`; None when it is finished or another worker holds it."""
    change = update(Job).where(Job.id == job_id, free()).returning(Job)
    values = change.values(state=State.RUNNING, worker=worker, lease_until=lease(lease_seconds), started_at=func.now())
    async with AsyncSession(engine, expire_on_commit=False) as session:
        job = await session.scalar(values)
        await session.commit()
        return job


def held(job: Job, worker: str) -> Update:
    return update(Job).where(Job.id == job.id, Job.state == State.RUNNING, Job.worker == worker)


async def renew(engine: AsyncEngine, job: Job, worker: str, lease_seconds: int) -> None:
    async with engine.begin() as connection:
        await change_held(connection, held(job, worker).values(lease_until=lease(lease_seconds)))


async def give_back(engine: AsyncEngine, job: Job, worker: str) -> None:
    """Queue it again: this worker stops."""
    async with engine.begin() as connection:
        await connection.execute(held(job, worker).values(state=State.QUEUED, worker=None, lease_until=None))


async def succeed(engine: AsyncEngine, job: Job, worker: str, batches: AsyncIterable[Rows]) -> int:
    """Write the rows and the success in one transaction. Raises LeaseLost."""
    count = 0
    async with engine.begin() as connection:
        await connection.execute(delete(Row).where(Row.job_id == job.id))
        async for batch in batches:
            numbered = [{"job_id": job.id, "number": count + n, "data": data} for n, data in enumerate(batch, 1)]
            await connection.execute(insert(Row), numbered)
            count += len(batch)
        done = held(job, worker).values(state=State.SUCCEEDED, row_count=count, error=None, finished_at=func.now())
        await change_held(connection, done)
    return count


async def fail(engine: AsyncEngine, job: Job, worker: str, error: str) -> None:
    async with engine.begin() as connection:
        await change_held(connection, held(job, worker).values(state=State.FAILED, error=error, finished_at=func.now()))


async def change_held(connection: AsyncConnection, change: Update) -> None:
    if (await connection.execute(change)).rowcount != 1:
        raise LeaseLost


async def forgotten(engine: AsyncEngine, age_seconds: int, limit: int = 1000) -> list[uuid.UUID]:
    """Jobs that should be in the queue: waiting for longer than an enqueue takes, or left by a dead worker."""
    old = Job.created_at < func.now() - timedelta(seconds=age_seconds)
    async with engine.connect() as connection:
        found = await connection.execute(select(Job.id).where(free(), old).order_by(Job.created_at).limit(limit))
        return list(found.scalars())
