"""Ending a task for certain: a library may make something else of the word to stop, as asyncio.wait_for does up to Python 3.11
when what it waits for is done in that moment."""

import asyncio
from typing import Any

AGAIN_SECONDS = 1.0


async def ended(task: "asyncio.Task[Any]") -> None:
    """Cancel it until it has heard. What came of it is nobody's business any more."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()
