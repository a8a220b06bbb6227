"""The connection to PostgreSQL."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from collector.settings import Settings


def engine(settings: Settings, name: str) -> AsyncEngine:
    """An engine whose connections answer or fail within seconds; `name` is what pg_stat_activity shows."""
    return create_async_engine(
        settings.database_url,
        pool_size=5,
        max_overflow=5,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"timeout": 5, "command_timeout": 30, "server_settings": {"application_name": name}},
    )
