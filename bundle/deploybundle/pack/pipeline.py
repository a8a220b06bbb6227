"""Stages that overlap: reading, hashing, compressing and writing each in a thread; what is heavy in them lets go of the GIL."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_DEPTH = 4  # chunks of 1 MiB between two stages
_PATIENCE = 0.1  # seconds, in which a stage notices that nobody wants its items any more


class _End:
    """The last thing that a stage says: why it ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[T], depth: int = _DEPTH) -> Iterator[T]:
    """The same items in the same order, made by another thread while the caller works; its errors are raised here.

    When the caller stops, the thread ends by itself and nobody waits for it: a Ctrl-C is quick even while zstd
    works on a block at level 19.
    """
    line: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()
    threading.Thread(target=_run, args=(items, line, stop), daemon=True).start()
    try:
        while not isinstance(item := line.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()


def _run(items: Iterable[T], line: queue.Queue[T | _End], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(line, item, stop):
                break
    except BaseException as found:  # noqa: BLE001  (raised again where the items are wanted)
        error = found
    finally:
        close = getattr(items, "close", None)
        if close is not None and error is None:
            close()
    _put(line, _End(error), stop)


def _put(line: queue.Queue[T | _End], item: T | _End, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            line.put(item, timeout=_PATIENCE)
        except queue.Full:
            continue
        return True
    return False
