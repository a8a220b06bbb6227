"""The queue in Redis: a stream with one consumer group. An entry leaves it when its job is finished, not when read."""

import uuid
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from collector.settings import Settings

STREAM = "collector:jobs"
GROUP = "workers"


@dataclass(frozen=True)
class Ticket:
    """One entry of the stream."""

    entry: str
    job_id: uuid.UUID


def connect(settings: Settings) -> Redis:
    return Redis(
        host=settings.redis_host,
        port=settings.redis_port,
        password=settings.redis_password.get_secret_value(),
        socket_connect_timeout=3,
        socket_timeout=10,
        decode_responses=True,
    )


async def put(redis: Redis, job_id: uuid.UUID) -> None:
    await redis.xadd(STREAM, {"job_id": str(job_id)})


async def ensure_group(redis: Redis) -> None:
    try:
        await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def take(redis: Redis, worker: str, block_ms: int, idle_ms: int) -> Ticket | None:
    """An entry that a silent worker left, else a new one, else None after `block_ms`."""
    answer: Any  # the client types its answers as a union over both protocol versions
    _, left, *_ = await redis.xautoclaim(STREAM, GROUP, worker, min_idle_time=idle_ms, count=1)
    if left:
        return ticket(*left[0])
    answer = await redis.xreadgroup(GROUP, worker, {STREAM: ">"}, count=1, block=block_ms)
    return ticket(*answer[0][1][0]) if answer else None


def ticket(entry: str, fields: dict[str, str]) -> Ticket:
    return Ticket(entry, uuid.UUID(fields["job_id"]))


async def renew(redis: Redis, worker: str, held: Ticket) -> None:
    """Say that the entry's worker is alive."""
    await redis.xclaim(STREAM, GROUP, worker, min_idle_time=0, message_ids=[held.entry], justid=True)


async def finish(redis: Redis, done: Ticket) -> None:
    await redis.xack(STREAM, GROUP, done.entry)
    await redis.xdel(STREAM, done.entry)


async def length(redis: Redis) -> int:
    return int(await redis.xlen(STREAM))
