"""Blocking work in a thread, one step ahead of who takes the results."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

T = TypeVar("T")


async def from_thread(items: Iterator[T]) -> AsyncGenerator[T, None]:
    """The same, made in a thread; while one is worked on, the next is made. What `items` holds open is closed in the end."""
    task = ahead(items)
    try:
        while (item := await asyncio.shield(task)) is not None:
            task = ahead(items)
            yield item
    finally:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen: the consumer has left
        close = getattr(items, "close", None)
        if close is not None:
            close()


def ahead(items: Iterator[T]) -> "asyncio.Task[T | None]":
    return asyncio.create_task(asyncio.to_thread(next, items, None))
