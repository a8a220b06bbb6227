"""Waiting that ends when the job is cancelled or its time is over; what was waited for is stopped then."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from collector.sources import Context, SourceError

T = TypeVar("T")
POLL_SECONDS = 0.2
CLOSE_SECONDS = 5


class Watch:
    def __init__(self, context: Context, seconds: float | None = None) -> None:
        most = context.settings.max_source_seconds
        self.context, self.seconds = context, min(seconds or most, most)
        self.deadline, self.stopped = time.monotonic() + self.seconds, False

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def over(self) -> bool:
        """Whether work in a thread should stop."""
        return self.stopped or self.late or self.context.cancelled()

    def check(self) -> None:
        self.context.check()
        if self.late:
            raise SourceError(f"takes longer than the {self.seconds:g} seconds that are permitted")

    async def done(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=POLL_SECONDS))[0]:
                self.check()
            return task.result()
        finally:
            if not task.done():
                self.stopped = True
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_SECONDS)

    async def closed(self, close: Callable[[], Awaitable[None]]) -> None:
        """Close, but do not wait for ever for who does not answer, nor mind if that was lost."""
        task = asyncio.ensure_future(close())
        await asyncio.wait({task}, timeout=CLOSE_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()
