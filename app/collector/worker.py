"""The worker: takes jobs from the queue, some at once, collects, writes each one's end. Also does the upkeep.

After SIGTERM it takes no more, finishes what runs within the drain time, and gives the rest back.
"""

import asyncio
import contextlib
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
from prometheus_client import start_http_server
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from taskiq.receiver import Receiver

from collector import broker as queue
from collector import database, leases, logs, metrics, migrate, upkeep
from collector.attempt import Attempt
from collector.settings import Settings
from collector.tasks import ended

log = logs.get("collector.worker")
TROUBLE = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, OSError, TimeoutError)
UPKEEP_SECONDS = 1.0
BEAT_SECONDS = 5.0
EXPIRY_SECONDS = 60.0
SPARE_CONNECTIONS = 4


@dataclass
class Worker:
    settings: Settings
    engine: AsyncEngine
    broker: queue.Broker
    name: str
    stopping: asyncio.Event
    running: dict[uuid.UUID, Attempt] = field(default_factory=dict)

    async def run(self) -> None:
        """Until `stopping` is set. Trouble with PostgreSQL or Redis is waited out."""

        async def collect(job_id: str) -> None:
            await self.collect(job_id)

        self.broker.register_task(collect, task_name=queue.TASK)
        self.broker.is_worker_process = True
        turns = [(self.touch, 1.0), (self.beat, BEAT_SECONDS), (self.keep, UPKEEP_SECONDS), (self.expire, EXPIRY_SECONDS)]
        loops = [asyncio.create_task(self.again(*turn)) for turn in turns]
        try:
            while not self.stopping.is_set():
                await self.receive()
            await self.drain()
        finally:
            await asyncio.gather(*map(ended, loops))
            with contextlib.suppress(*TROUBLE):
                await upkeep.leave(self.engine, self.name)

    async def again(self, turn: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Every so often, for as long as the worker lives: also while it drains, for its jobs' sake."""
        while True:
            try:
                await turn()
            except TROUBLE as error:
                log.warning("waiting for PostgreSQL and Redis", doing=turn.__name__, error=describe(error))
            await asyncio.sleep(seconds)

    async def touch(self) -> None:
        self.settings.heartbeat_file.touch()

    async def beat(self) -> None:
        await upkeep.beat(self.engine, self.name, self.settings.version, len(self.running))

    async def keep(self) -> None:
        for job in await upkeep.take_back(self.engine, self.settings):
            metrics.JOBS_LOST.inc()
            log.warning("a job's worker was lost", job_id=job.id, attempt=job.attempt, state=job.state)
        jobs = await upkeep.due(self.engine, queue_is_empty=not await queue.undelivered(self.broker))
        try:
            for job_id in jobs:
                await queue.put(self.broker, job_id)
        except queue.TROUBLE:
            await upkeep.unpublish(self.engine, jobs)
            raise
        metrics.JOBS_PUBLISHED.inc(len(jobs))

    async def expire(self) -> None:
        if expired := await upkeep.expire(self.engine, self.settings):
            log.info("results removed", jobs=expired)

    async def receive(self) -> None:
        """Run what the queue gives, until told to stop or the connection to Redis breaks."""
        try:
            if not await migrate.schema_is_usable(self.engine):
                log.warning("waiting for the schema; run: collector db upgrade")
                await self.pause(1)
                return
            await self.broker.startup()
            receiver = Receiver(
                self.broker, max_async_tasks=self.settings.worker_concurrency, run_startup=False,
                wait_tasks_timeout=self.settings.drain_seconds,
            )  # fmt: skip
            await receiver.listen(self.stopping)
        except Exception as error:  # taskiq gives what Redis did in groups, of many kinds
            log.warning("waiting for PostgreSQL and Redis", doing="receive", error=describe(error))
            await self.pause(1)

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def collect(self, job_id: str) -> None:
        """One entry of the queue."""
        number = uuid.UUID(job_id)
        try:
            job = await leases.claim(self.engine, number, self.name, self.settings.lease_seconds)
        except TROUBLE as error:
            log.warning("not claimed; upkeep will find the job later", job_id=job_id, error=describe(error))
            await self.pause(1)
            return
        if job is None:
            return
        attempt = self.running[number] = Attempt(job, self.settings, self.engine)
        metrics.JOBS_RUNNING.set(len(self.running))
        try:
            await attempt.run()
        finally:
            self.running.pop(number, None)
            metrics.JOBS_RUNNING.set(len(self.running))

    async def drain(self) -> None:
        """What has not ended in the drain time goes back."""
        left = list(self.running.values())
        await asyncio.gather(*(attempt.give_back() for attempt in left))


def describe(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def stop_on_signals(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


def connections(settings: Settings) -> AsyncEngine:
    """A job holds one while it collects; the others are for leases and upkeep."""
    size = max(settings.database_pool_size, settings.worker_concurrency + SPARE_CONNECTIONS)
    return database.engine(settings, "collector-worker", 60, pool_size=size)


def named() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


async def main(settings: Settings) -> None:
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    name = named()
    engine, broker = connections(settings), queue.make(settings, name)
    worker = Worker(settings, engine, broker, name, stopping)
    log.info("worker started", worker=name, version=settings.version)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port)
    try:
        await worker.run()
    finally:
        await broker.shutdown()
        await engine.dispose()
    log.info("worker stopped", worker=name)
