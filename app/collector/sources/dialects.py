"""Which database it is."""

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from collector.sources import Context
from collector.sources.generic import Dialect
from collector.sources.postgres import Postgres
from collector.sources.settings import Connection
from collector.sources.sqlite import Sqlite
from collector.sources.watching import Watch


def of_connection(connection: Connection, secret: str, context: Context, watch: Watch) -> Dialect:
    """Raises SQLAlchemy's errors for a URL that it does not understand, and SourceError."""
    url = make_url(connection.url)
    if url.get_backend_name() == "sqlite":
        return Sqlite(url.database or "", context, watch)
    url = url.set(password=secret) if secret else url
    if url.get_backend_name() == "postgresql":
        return Postgres(url.set(drivername="postgresql+asyncpg"), connection, context, watch)
    return Dialect(create_async_engine(url, poolclass=NullPool))
