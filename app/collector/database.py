"""The connections to PostgreSQL."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from collector.settings import Settings


def engine(settings: Settings, name: str, statement_seconds: float | None, **options: object) -> AsyncEngine:
    """An engine that gives up a statement after so many seconds (None: never); pg_stat_activity shows `name`."""
    defaults = {"pool_size": settings.database_pool_size, "max_overflow": 4, "pool_timeout": 5, "pool_pre_ping": True}
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
    """For single reads: no transaction, no ping before each (see `jobs.get`, which asks once more instead)."""
    return engine(settings, name, statement_seconds, pool_pre_ping=False, isolation_level="AUTOCOMMIT")
