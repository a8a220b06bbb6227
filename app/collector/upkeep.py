"""What keeps jobs moving: lost ones are taken back, waiting ones put into Redis (again), old results removed.

Every worker does it, a second apart; rows that another one works on are skipped.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector import database
from collector.models import Audit, Chunk, Job, State, WorkerBeat
from collector.settings import Settings

JOBS = Job.__table__.c
WORKERS = WorkerBeat.__table__.c
LOST_SECONDS = 5
REPUBLISH_SECONDS = 300
GONE_SECONDS = 60
LOST = "its worker was lost"


def some(where: Any, limit: int) -> Any:
    return select(JOBS.id).where(where).limit(limit).with_for_update(skip_locked=True, key_share=True)


async def take_back(engine: AsyncEngine, settings: Settings) -> list[Row[Any]]:
    """Jobs whose workers have been silent for a lease: queued again, or dead after the last attempt."""
    last = JOBS.attempt >= JOBS.max_attempts
    state = case((JOBS.cancel_requested, State.CANCELLED.value), (last, State.DEAD.value), else_=State.QUEUED.value)
    ends = or_(JOBS.cancel_requested, last)
    expires = func.now() + timedelta(days=settings.result_days)
    lost = some((JOBS.state == State.RUNNING) & (JOBS.lease_until < func.now()), 500)
    change = update(Job).where(JOBS.id.in_(lost)).values(
        state=state, error=LOST, worker=None, lease_until=None, due_at=func.now(), published_at=None,
        finished_at=case((ends, func.now())), expires_at=case((ends, expires)),
    )  # fmt: skip
    async with engine.begin() as connection:
        return list(await connection.execute(change.returning(*JOBS)))


async def due(engine: AsyncEngine, queue_is_empty: bool, limit: int = 500) -> list[uuid.UUID]:
    """Jobs that belong into Redis now, marked as published: never put there; or put there a while ago, and it is empty, so it
    has lost them; or put there long ago."""
    age = timedelta(seconds=LOST_SECONDS if queue_is_empty else REPUBLISH_SECONDS)
    unpublished = or_(JOBS.published_at.is_(None), JOBS.published_at < func.now() - age)
    waiting = some((JOBS.state == State.QUEUED) & (JOBS.due_at <= func.now()) & unpublished, limit)
    change = update(Job).where(JOBS.id.in_(waiting)).values(published_at=func.now()).returning(JOBS.id, JOBS.created_at)
    async with engine.begin() as connection:
        found = sorted(await connection.execute(change), key=lambda row: row.created_at)
    return [row.id for row in found]


async def unpublish(engine: AsyncEngine, job_ids: list[uuid.UUID]) -> None:
    """Redis did not take them: tried again at the next turn."""
    async with engine.begin() as connection:
        await connection.execute(update(Job).where(JOBS.id.in_(job_ids)).values(published_at=None))


async def expire(engine: AsyncEngine, settings: Settings) -> int:
    """Remove the rows of results that are too old, then jobs that are much too old, and the audit log's lines of that age."""
    old = (JOBS.expires_at < func.now()) & JOBS.expired_at.is_(None)
    ancient = func.now() - timedelta(days=settings.job_days)
    async with engine.begin() as connection:
        change = update(Job).where(JOBS.id.in_(some(old, 100))).values(expired_at=func.now()).returning(JOBS.id)
        expired = list((await connection.execute(change)).scalars())
        if expired:
            await connection.execute(delete(Chunk).where(Chunk.job_id.in_(expired)))
        await connection.execute(delete(Job).where(JOBS.id.in_(some(JOBS.finished_at < ancient, 100))))
        await connection.execute(delete(Audit).where(Audit.at < ancient))
    return len(expired)


async def beat(engine: AsyncEngine, worker: str, version: str, running: int) -> None:
    """A worker's sign of life; those that have been silent for long are forgotten."""
    made = upsert(WorkerBeat).values(name=worker, version=version, running=running)
    change = made.on_conflict_do_update(index_elements=["name"], set_={"beat_at": func.now(), "running": running})
    async with engine.begin() as connection:
        await connection.execute(change)
        await connection.execute(delete(WorkerBeat).where(WORKERS.beat_at < func.now() - timedelta(seconds=GONE_SECONDS)))


async def leave(engine: AsyncEngine, worker: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(WorkerBeat).where(WORKERS.name == worker))


@dataclass(frozen=True)
class Queue:
    """What waits. Ages in seconds; `workers`: seconds since each one's last sign of life."""

    waiting: int
    running: int
    oldest_seconds: float
    workers: dict[str, float]


async def survey(reader: AsyncEngine) -> Queue:
    ready = (JOBS.state == State.QUEUED) & (JOBS.due_at <= func.now())
    columns = func.count().filter(JOBS.state == State.QUEUED), func.count().filter(JOBS.state == State.RUNNING)
    oldest = func.min(JOBS.due_at).filter(ready)
    counts = select(*columns, oldest, func.now()).where(JOBS.state.in_([State.QUEUED, State.RUNNING]))

    async def ask(connection: AsyncConnection) -> tuple[Any, list[Any]]:
        beats = await connection.execute(select(WORKERS.name, WORKERS.beat_at))
        return (await connection.execute(counts)).one(), list(beats.all())

    (waiting, running, since, now), beats = await database.reading(reader, ask)
    return Queue(waiting, running, age(since, now), {row.name: age(row.beat_at, now) for row in beats})


def age(since: datetime | None, now: datetime) -> float:
    return (now - since).total_seconds() if since else 0.0
