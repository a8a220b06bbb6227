"""What the endpoints work with, made once for each process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import broker, database, health, lookups
from collector.auth import Gate
from collector.jobs import Caller
from collector.keys import Scope
from collector.lookups import Lookups
from collector.settings import Settings

STATEMENT_SECONDS = 10

bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer ck_…`")
header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for callers that cannot set Authorization")


@dataclass(frozen=True)
class Parts:
    """`engine` is for transactions, `reader` for reads, `lookups` for those that come with every request."""

    settings: Settings
    engine: AsyncEngine
    reader: AsyncEngine
    lookups: Lookups
    broker: broker.Broker
    gate: Gate
    well: dict[str, health.Probe]
    ready: dict[str, health.Probe]
    draining: asyncio.Event

    async def close(self) -> None:
        await self.broker.shutdown()
        self.lookups.close()
        await self.reader.dispose()
        await self.engine.dispose()


async def make(settings: Settings, draining: asyncio.Event) -> Parts:
    engine = database.engine(settings, "collector-api", STATEMENT_SECONDS)
    reader = database.reader(settings, "collector-api-reads", STATEMENT_SECONDS)
    single = await lookups.connect(settings, "collector-api-lookups", STATEMENT_SECONDS)
    queue, timeout = broker.make(settings, "api"), settings.dependency_timeout_seconds
    postgres = health.Probe(health.database_check(reader), timeout)
    redis = health.Probe(health.redis_check(queue), timeout)
    jobs = health.Probe(health.queue_check(queue, reader, settings.queue_ill_seconds), timeout)
    schema = health.Probe(health.schema_check(reader), timeout)
    well = {"postgres": postgres, "redis": redis, "queue": jobs}
    ready = {"postgres": postgres, "redis": redis, "schema": schema}
    return Parts(settings, engine, reader, single, queue, Gate(settings, single), well, ready, draining)


async def parts_of(request: Request) -> Parts:
    """Async, since FastAPI sends what is not into a thread."""
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(parts_of)]


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, whose key has that scope."""

    async def check(
        request: Request,
        authorization: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
        key: Annotated[str | None, Security(header)],
    ) -> Caller:
        token = authorization.credentials if authorization else key
        parts = await parts_of(request)
        identity = await parts.gate.admit(token, scope, request.client.host if request.client else "")
        request.scope["caller"] = identity.name
        return Caller(identity.name, request.scope["request_id"])

    return check


MayRead = Annotated[Caller, Depends(needs(Scope.JOBS_READ))]
MayWrite = Annotated[Caller, Depends(needs(Scope.JOBS_WRITE))]
MayFetch = Annotated[Caller, Depends(needs(Scope.RESULTS_READ))]
