"""One attempt at a job: collecting and writing, with a heart that renews the lease and hears of a cancellation."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import asyncpg
import structlog
from pydantic import ValidationError
from sqlalchemy import Row
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import leases, logs, metrics
from collector.settings import Settings
from collector.sources import Batch, Cancelled, Context, SourceError, secrets
from collector.sources.catalogue import SOURCES
from collector.tasks import ended

log = logs.get("collector.worker")
TROUBLE = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
BEAT_SECONDS = 2.0
PATIENCE_SECONDS = 5.0


class Attempt:
    def __init__(self, job: Row[Any], settings: Settings, engine: AsyncEngine) -> None:
        self.job, self.settings, self.engine = job, settings, engine
        self.rows, self.done = 0, 0.0
        self.total: float | None = None
        self.cancel_requested = False
        self.task: asyncio.Task[str] | None = None

    async def run(self) -> None:
        """To the job's end, or until nobody can say how it ends: then upkeep takes it back when the lease is over."""
        ids = {"job_id": str(self.job.id), "attempt": self.job.attempt, "request_id": self.job.request_id}
        with structlog.contextvars.bound_contextvars(**ids):
            start = time.perf_counter()
            self.task = asyncio.create_task(self.judged())
            heart = asyncio.create_task(self.beat(self.task))
            await asyncio.wait({self.task})
            await ended(heart)
            outcome = "interrupted" if self.task.cancelled() else self.task.result()
            seconds = time.perf_counter() - start
            metrics.JOB_SECONDS.labels(self.job.source_type, outcome).observe(seconds)
            log.info("attempt ended", outcome=outcome, rows=self.rows, ms=round(seconds * 1000, 1))

    async def judged(self) -> str:
        """The outcome, written. What PostgreSQL did wrong is no verdict on the job."""
        try:
            return await self.outcome()
        except leases.LeaseLost:
            return "lease-lost"
        except TROUBLE as error:
            log.warning("the end could not be written", error=f"{type(error).__name__}: {error}")
            return "interrupted"

    async def outcome(self) -> str:
        try:
            return await self.collected()
        except (Cancelled, asyncio.CancelledError):
            if not self.cancel_requested:
                raise
            await leases.cancelled(self.engine, self.job, self.settings)
            return "cancelled"
        except SourceError as error:
            return await self.failed(error)
        except (DataError, asyncpg.DataError) as error:
            return await self.failed(SourceError(f"PostgreSQL refuses the rows: {str(error).splitlines()[0]}"))
        except (*TROUBLE, leases.LeaseLost):
            raise
        except Exception:  # a bug must not keep the job in an endless circle
            log.exception("an unexpected error")
            return await self.failed(SourceError("an unexpected error; the worker's log has it"))

    async def collected(self) -> str:
        limit = self.settings.job_seconds
        clock = asyncio.timeout(limit)
        try:
            async with clock, aclosing(self.batches()) as batches:
                await leases.succeed(self.engine, self.job, batches, self.settings)
        except TimeoutError:
            if not clock.expired():
                raise
            raise SourceError(f"took longer than {limit:g} s", retryable=True) from None
        metrics.JOB_ROWS.labels(self.job.source_type).inc(self.rows)
        return "succeeded"

    async def batches(self) -> AsyncGenerator[Batch, None]:
        source = SOURCES.get(self.job.source_type)
        if source is None:
            raise SourceError(f"this version knows no source of type {self.job.source_type!r}", retryable=True)
        try:
            config = source.Config.model_validate(self.job.config)
        except ValidationError as error:  # the API has accepted it: it must be a newer one
            wrong = ", ".join(".".join(map(str, ("config", *each["loc"]))) for each in error.errors())
            raise SourceError(f"this version does not understand {wrong}", retryable=True) from None
        async with aclosing(cast("AsyncGenerator[Batch, None]", source.collect(config, self.context()))) as batches:
            async for batch in batches:
                self.rows += len(batch)
                yield batch

    def context(self) -> Context:
        return Context(
            settings=self.settings,
            secret=secrets.reader(self.settings),
            progress=self.note,
            cancelled=lambda: self.cancel_requested,
        )

    def note(self, done: float, total: float | None) -> None:
        self.done, self.total = done, total

    async def failed(self, error: SourceError) -> str:
        state = await leases.fail(self.engine, self.job, error, self.settings)
        outcome = "retried" if state == "queued" else str(state)
        log.warning("attempt failed", error=error.reason, outcome=outcome)
        return outcome

    async def beat(self, task: "asyncio.Task[str]") -> None:
        """Renew the lease; end the task when the lease is lost, or when it has not heard of its cancellation by itself."""
        while True:
            await asyncio.sleep(min(BEAT_SECONDS, self.settings.lease_seconds / 4))
            try:
                progress = {"rows": self.rows, "done": self.done, "total": self.total}
                wanted = await leases.renew(self.engine, self.job, self.settings.lease_seconds, progress)
            except leases.LeaseLost:
                task.cancel()
                return
            except (*TROUBLE, TimeoutError) as error:
                log.warning("the lease was not renewed", error=f"{type(error).__name__}: {error}")
                continue
            if wanted and not self.cancel_requested:
                self.cancel_requested = True
                asyncio.get_running_loop().call_later(PATIENCE_SECONDS, task.cancel)

    async def give_back(self) -> None:
        """Told to stop: end the work here, and let another worker do it."""
        if self.task is None or self.task.done():
            return
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=PATIENCE_SECONDS)
        with contextlib.suppress(*TROUBLE, TimeoutError):
            await leases.give_back(self.engine, self.job)
            log.warning("the job goes back into the queue", job_id=self.job.id)
