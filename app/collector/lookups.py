"""The reads that come with every request: one row by its key, one statement, one round trip; asyncpg without SQLAlchemy
between (docs/decisions/0013). The statements are still made of the models, once.
"""

import asyncio
import json
from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects import postgresql

from collector.settings import Settings

CONNECT_SECONDS = 5
TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class Record(asyncpg.Record):
    """A row whose columns are attributes, like those of SQLAlchemy."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Dead(ConnectionError):
    """The connection had been lost before it was asked, or was lost then."""


def statement(select: Select[Any]) -> str:
    """The text for `Lookups.one`, of a SELECT with one bound parameter."""
    return str(select.compile(dialect=postgresql.asyncpg.dialect()))  # type: ignore[no-untyped-call]


class Lookups:
    """A pool whose connections are nobody's for longer than a statement, so nothing on them needs a reset."""

    def __init__(self, pool: "asyncpg.Pool[Record]", seconds: float) -> None:
        self.pool, self.seconds = pool, seconds

    async def one(self, statement: str, value: object) -> Record | None:
        """Asked once more if a pooled connection turns out to be dead, as after a restart of PostgreSQL: by then all are
        new. Raises TimeoutError, and what asyncpg raises."""
        async with asyncio.timeout(self.seconds):
            try:
                return await self.ask(statement, value)
            except Dead:
                await self.pool.expire_connections()
            return await self.ask(statement, value)

    async def ask(self, statement: str, value: object) -> Record | None:
        async with self.pool.acquire() as connection:
            try:
                return await connection.fetchrow(statement, value)
            except asyncio.CancelledError:
                connection.terminate()  # to give it back would be to wait until PostgreSQL has heard of it
                raise
            except TROUBLE as error:
                if not lost(connection):
                    raise
                raise Dead(str(error)) from error

    def in_use(self) -> int:
        return self.pool.get_size() - self.pool.get_idle_size()

    def close(self) -> None:
        self.pool.terminate()


def lost(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has noticed, and taken it back
        return True


async def connect(settings: Settings, name: str, seconds: float) -> Lookups:
    """Connects when somebody asks, not before. A lookup is given up after so many seconds, by PostgreSQL too, so that none is
    left there when its connection is dropped; pg_stat_activity shows `name`."""
    url, limits = settings.database_url, {"statement_timeout": f"{seconds * 1000:.0f}"}
    pool = asyncpg.create_pool(
        host=url.host, port=url.port, user=url.username, password=url.password, database=url.database,
        min_size=0, max_size=settings.database_pool_size, timeout=CONNECT_SECONDS, record_class=Record,
        init=decode_json, reset=nothing, server_settings={"application_name": name, **limits},
    )  # fmt: skip
    return Lookups(await pool, seconds)


async def decode_json(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def nothing(connection: Any) -> None:
    """What asyncpg would do otherwise costs as much as the statement."""
