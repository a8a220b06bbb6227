"""What a source is. Each source type is a module here (api, database, file) with a pydantic model `Config` (extra="forbid",
examples in its fields) and an async generator

    async def collect(config: Config, context: Context) -> AsyncIterator[Batch]

that yields the records in batches, encoded already, and raises SourceError. The worker writes each batch as it comes: a source
holds one batch in memory, not the whole. It asks `context.check()` wherever it waits or loops for long, and the task that it
runs in may be cancelled at any await: what it has opened it closes in `finally`. Blocking work (a parser, a synchronous driver)
runs in a thread.

A run starts from the beginning each time: the rows of an attempt that did not finish are thrown away.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from collector.sources.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class Batch:
    """JSON Lines, in the order of the source: each an object and ended by a line feed, without tabs between its tokens.
    `records.texts` makes them of dictionaries, `records.passed` of what came as JSON. They hold nothing that PostgreSQL's jsonb
    cannot. One text and the number of its lines, since a list of them would be made only to be joined again."""

    text: str
    count: int

    @classmethod
    def of(cls, lines: Sequence[str]) -> "Batch":
        return cls("".join(f"{line}\n" for line in lines), len(lines))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return iter(self.text.split("\n")[:-1])


BATCH_ROWS, BATCH_CHARACTERS = 1000, 2**18
"""Yield a batch when it has so many rows, or about so many characters; earlier if the source is slow."""


class SourceError(Exception):
    """The source cannot be collected. `reason` is public: it is shown in the job's status and in the log, so it names the
    place (config.url, page 3, line 17) and holds no secret. `retryable`: the same may succeed later without anybody acting;
    the job is tried again, not before `retry_after_seconds` where the source has said so."""

    def __init__(self, reason: str, *, retryable: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.retryable, self.retry_after_seconds = reason, retryable, retry_after_seconds


class Cancelled(Exception):
    """Raised by `Context.check`: the job has been cancelled; a source lets it pass."""


def no_progress(done: float, total: float | None) -> None:
    """Nobody is asking."""


@dataclass(frozen=True)
class Context:
    """What a source is given. `secret` returns the value behind a reference in the config and raises SourceError (not
    retryable) for an unknown one. `progress(done, total)` takes anything that grows (bytes, pages, rows; the total if it is
    known), as often as you like. `cancelled` is cheap and may be asked from a thread."""

    settings: SourceSettings
    secret: Callable[[str], SecretStr]
    progress: Callable[[float, float | None], None] = field(default=no_progress)
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def check(self) -> None:
        """Raises Cancelled if the job has been cancelled."""
        if self.cancelled():
            raise Cancelled
