"""The worker: takes one job at a time from the queue, collects, writes the result.

After SIGTERM it finishes the running job within the drain time or gives it back.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import database, jobs, logs, migrate, queue
from collector.models import Job
from collector.queue import Ticket
from collector.settings import Settings
from collector.sources import files

log = logs.get("collector.worker")
TROUBLE = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, OSError, TimeoutError)
BLOCK_MS = 1000
SWEEP_SECONDS = 5
BEAT_SECONDS = 15


@dataclass
class Worker:
    settings: Settings
    engine: AsyncEngine
    redis: Redis
    name: str
    stopping: asyncio.Event
    swept: float = 0.0

    async def run(self) -> None:
        """Until `stopping` is set. Trouble with PostgreSQL or Redis is waited out."""
        prepared = False
        while not self.stopping.is_set():
            self.settings.heartbeat_file.touch()
            try:
                prepared = prepared or await self.prepare()
                if prepared:
                    await self.step()
            except TROUBLE as error:
                log.warning("waiting for PostgreSQL and Redis", error=f"{type(error).__name__}: {error}")
                prepared = False
                await self.pause(1)

    async def prepare(self) -> bool:
        """The schema is one that this version can work with, and the queue is there."""
        if not await migrate.schema_is_usable(self.engine):
            log.warning("waiting for the schema; run: collector db upgrade")
            await self.pause(1)
            return False
        await queue.ensure_group(self.redis)
        return True

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def step(self) -> None:
        await self.sweep()
        ticket = await queue.take(self.redis, self.name, BLOCK_MS, self.settings.lease_seconds * 1000)
        if ticket is None:
            return
        job = await jobs.claim(self.engine, ticket.job_id, self.name, self.settings.lease_seconds)
        if job is not None:
            await self.drained(self.work(job, ticket), job, ticket)
        else:
            await queue.finish(self.redis, ticket)

    async def sweep(self) -> None:
        """Find jobs that Redis has lost or never got. Only with an empty queue: else they may be in it."""
        if time.monotonic() < self.swept + SWEEP_SECONDS or await queue.length(self.redis):
            return
        self.swept = time.monotonic()
        for job_id in await jobs.forgotten(self.engine, SWEEP_SECONDS):
            log.info("put into the queue again", job_id=job_id)
            await queue.put(self.redis, job_id)

    async def drained(self, work: Awaitable[None], job: Job, ticket: Ticket) -> None:
        """Do the work with a heartbeat; once told to stop it has the drain time left, then the job goes back."""
        task = asyncio.ensure_future(work)
        heart = asyncio.create_task(self.beat(job, ticket))
        stop = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({task}, timeout=self.settings.drain_seconds)
            if not task.done():
                await self.hand_back(task, job, ticket)
            elif (error := task.exception()) is not None:
                raise error
        finally:
            heart.cancel()
            stop.cancel()

    async def hand_back(self, task: "asyncio.Future[None]", job: Job, ticket: Ticket) -> None:
        log.warning("the job goes back into the queue", job_id=job.id)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        await jobs.give_back(self.engine, job, self.name)
        await queue.put(self.redis, job.id)
        await queue.finish(self.redis, ticket)

    async def beat(self, job: Job, ticket: Ticket) -> None:
        while True:
            await asyncio.sleep(min(BEAT_SECONDS, self.settings.lease_seconds / 4))
            self.settings.heartbeat_file.touch()
            try:
                await jobs.renew(self.engine, job, self.name, self.settings.lease_seconds)
                await queue.renew(self.redis, self.name, ticket)
            except (*TROUBLE, jobs.LeaseLost) as error:
                log.warning("the lease was not renewed", job_id=job.id, error=f"{type(error).__name__}: {error}")

    async def work(self, job: Job, ticket: Ticket) -> None:
        """Collect and write the result, good or bad. What PostgreSQL or Redis did wrong is no verdict on the job."""
        try:
            await self.judge(job)
        except jobs.LeaseLost:
            log.warning("another worker has taken the job over", job_id=job.id)
        else:
            await queue.finish(self.redis, ticket)

    async def judge(self, job: Job) -> None:
        start = time.perf_counter()
        try:
            count = await jobs.succeed(self.engine, job, self.name, self.collect(job))
            log.info("job succeeded", job_id=job.id, rows=count, ms=round((time.perf_counter() - start) * 1000, 1))
        except files.SourceError as error:
            await self.failed(job, str(error))
        except DataError as error:
            await self.failed(job, f"PostgreSQL refuses the rows: {error.orig}")
        except (*TROUBLE, jobs.LeaseLost):
            raise
        except Exception:  # a bug must not keep the job, and with it the queue, in an endless circle
            log.exception("an unexpected error", job_id=job.id)
            await self.failed(job, "an unexpected error; the worker's log has it")

    async def failed(self, job: Job, reason: str) -> None:
        log.warning("job failed", job_id=job.id, error=reason)
        await jobs.fail(self.engine, job, self.name, reason)

    async def collect(self, job: Job) -> AsyncIterator[jobs.Rows]:
        settings = self.settings
        batches = files.read(
            job.config["path"], job.config["format"], settings.folders, settings.max_file_bytes, settings.max_rows
        )
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            yield batch


def stop_on_signals(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


async def main(settings: Settings) -> None:
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    engine, redis = database.engine(settings, "collector-worker", 60), queue.connect(settings)
    worker = Worker(settings, engine, redis, f"{socket.gethostname()}-{os.getpid()}", stopping)
    log.info("worker started", worker=worker.name, version=settings.version)
    try:
        await worker.run()
    finally:
        await redis.aclose()
        await engine.dispose()
    log.info("worker stopped", worker=worker.name)
