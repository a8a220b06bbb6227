"""Is each part well? Really asked, side by side, and answered in bounded time even when a part hangs."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import database, migrate, upkeep
from collector.broker import Broker, client
from collector.schemas import PartHealth

PROBE = "collector:probe"
SILENT_SECONDS = 30
Check = Callable[[], Awaitable[None]]


class Ill(Exception):
    """A check's own verdict, with the reason."""


class Probe:
    """One part's check. While one hangs, no second is started: a dead part costs one task, not one a request."""

    def __init__(self, check: Check, timeout_seconds: float) -> None:
        self.check, self.timeout = check, timeout_seconds
        self.running: asyncio.Future[None] | None = None

    async def __call__(self) -> PartHealth:
        start = time.perf_counter()
        error = await self.verdict()
        ms = round((time.perf_counter() - start) * 1000, 1)
        return PartHealth(status="ill" if error else "ok", ms=ms, error=error)

    async def verdict(self) -> str | None:
        if self.running is None or self.running.done():
            self.running = asyncio.ensure_future(self.check())
            self.running.add_done_callback(forget_exception)
        running = self.running
        done, _ = await asyncio.wait({running}, timeout=self.timeout)
        if not done:
            running.cancel()  # and not awaited: a cancelled connection may hang in its closing, too
            return f"no answer within {self.timeout:g} s"
        return describe(running)


def forget_exception(task: "asyncio.Future[None]") -> None:
    if not task.cancelled():
        task.exception()


def describe(task: "asyncio.Future[None]") -> str | None:
    if task.cancelled():
        return "no answer to an earlier check"
    error = task.exception()
    if error is None:
        return None
    return str(error) if isinstance(error, Ill) else ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def database_check(reader: AsyncEngine) -> Check:
    async def check() -> None:
        await database.reading(reader, lambda connection: connection.execute(text("SELECT 1")))

    return check


def schema_check(reader: AsyncEngine) -> Check:
    async def check() -> None:
        if not await migrate.schema_is_usable(reader):
            raise Ill("the schema is not up to date; run: collector db upgrade")

    return check


def redis_check(broker: Broker) -> Check:
    async def check() -> None:
        await client(broker).ping()

    return check


def queue_check(broker: Broker, reader: AsyncEngine, ill_seconds: float) -> Check:
    """Redis takes entries, and jobs do not wait for workers that are not there."""

    async def check() -> None:
        await client(broker).set(PROBE, "1", ex=60)
        queue = await upkeep.survey(reader)
        if queue.oldest_seconds > ill_seconds and min(queue.workers.values(), default=ill_seconds) >= SILENT_SECONDS:
            raise Ill(f"{queue.waiting} jobs wait, the oldest for {queue.oldest_seconds:.0f} s, and no worker lives")

    return check


async def ask(probes: dict[str, Probe]) -> dict[str, PartHealth]:
    answers = await asyncio.gather(*(probe() for probe in probes.values()))
    return dict(zip(probes, answers, strict=True))
