"""The connection to PostgreSQL."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from collector.settings import Settings


def engine(settings: Settings, name: str, statement_seconds: float | None) -> AsyncEngine:
    """An engine that gives up a statement after so many seconds (None: never); pg_stat_activity shows `name`."""
    return create_async_engine(
        settings.database_url,
        pool_size=5,
        max_overflow=5,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={
            "timeout": 5,
            "command_timeout": statement_seconds,
            "server_settings": {"application_name": name},
        },
    )
