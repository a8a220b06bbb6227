"""The queue in Redis, by taskiq: a stream with a consumer group, whose entries are acknowledged when a job has been worked on.

An entry holds a job's number and nothing else. It may come twice or never: what happens to the job is decided in PostgreSQL.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from taskiq import AckableMessage
from taskiq.kicker import AsyncKicker
from taskiq_redis import RedisStreamBroker

from collector.settings import Settings
from collector.tasks import ended

STREAM = "collector:queue"
GROUP = "workers"
TASK = "collector.collect"
LONGEST = 100_000
BLOCK_MS = 2000
TROUBLE = (RedisError, OSError, TimeoutError)


class Broker(RedisStreamBroker):
    """An acknowledgement that does not get through is no matter: the entry comes again, and its job is not waiting any more.
    Nor is an entry that came in the moment of stopping: its job is put into the queue again."""

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        async with aclosing(super().listen()) as source:
            while True:
                step = asyncio.ensure_future(anext(source))
                try:
                    await asyncio.wait({step})
                finally:
                    await ended(step)
                message = step.result()
                yield AckableMessage(data=message.data, ack=quiet(message.ack))


def quiet(acknowledge: Callable[[], Any]) -> Callable[[], Awaitable[None]]:
    async def call() -> None:
        with contextlib.suppress(*TROUBLE):
            await acknowledge()

    return call


def make(settings: Settings, consumer: str) -> Broker:
    return Broker(
        f"redis://{settings.redis_host}:{settings.redis_port}",
        password=settings.redis_password.get_secret_value(),
        queue_name=STREAM,
        consumer_group_name=GROUP,
        consumer_name=consumer,
        consumer_id="0",
        maxlen=LONGEST,
        xread_block=BLOCK_MS,
        xread_count=1,
        idle_timeout=settings.lease_seconds * 1000,
        unacknowledged_batch_size=1,
        unacknowledged_lock_timeout=10,
        retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),  # a pooled connection may be dead, as after a restart
        socket_connect_timeout=3,
        socket_timeout=BLOCK_MS / 1000 + 8,
    )


async def put(broker: Broker, job_id: uuid.UUID) -> None:
    await AsyncKicker[Any, Any](TASK, broker, {}).with_task_id(str(job_id)).kiq(str(job_id))


def client(broker: Broker) -> Redis:
    return Redis(connection_pool=broker.connection_pool)


async def undelivered(broker: Broker) -> int:
    """Entries that no worker has been given yet."""
    try:
        groups = await client(broker).xinfo_groups(STREAM)
    except ResponseError:  # no such stream: Redis is new, or has lost its memory
        return 0
    return max((group["lag"] or 0 for group in groups if group["name"] == GROUP.encode()), default=0)
