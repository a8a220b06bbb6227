"""The connections to PostgreSQL."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from collector.settings import Settings

Answer = TypeVar("Answer")


def engine(settings: Settings, name: str, statement_seconds: float | None, **options: object) -> AsyncEngine:
    """An engine that gives up a statement after so many seconds (None: never); pg_stat_activity shows `name`.

    Its connections are kept: one for each peak would cost PostgreSQL more than what it is asked."""
    defaults = {"pool_size": settings.database_pool_size, "max_overflow": 0, "pool_timeout": 5, "pool_pre_ping": True}
    return create_async_engine(
        settings.database_url,
        connect_args={
            "timeout": 5,
            "command_timeout": statement_seconds,
            "server_settings": {"application_name": name},
        },
        **{**defaults, **options},
    )


def reader(settings: Settings, name: str, statement_seconds: float) -> AsyncEngine:
    """For single reads: no transaction, no ping before each (see `reading`)."""
    return engine(settings, name, statement_seconds, pool_pre_ping=False, isolation_level="AUTOCOMMIT")


async def reading(reader: AsyncEngine, ask: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
    """Asked once more when a pooled connection turns out to be dead, as after a restart of PostgreSQL: by then all are new."""
    try:
        async with reader.connect() as connection:
            return await ask(connection)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    async with reader.connect() as connection:
        return await ask(connection)
