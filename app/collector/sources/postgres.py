"""PostgreSQL: the server itself writes each row as JSON, so that every type, also an extension's, comes as it shows it."""

import ssl
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy import URL, TextClause, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult, create_async_engine
from sqlalchemy.pool import NullPool

from collector.sources import Batch, Context, SourceError
from collector.sources.generic import Dialect, distinct, first_line
from collector.sources.records import passed
from collector.sources.settings import Connection
from collector.sources.watching import Watch

AS_TEXT = (
    "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "numeric", "inet", "cidr", "macaddr",
    "json", "jsonb",
)  # fmt: skip
PASSING = ("08", "53", "40", "57P", "55P03")
"""SQLSTATE (PostgreSQL, appendix A): connection, resources, serialisation, shutdown, lock."""


class Postgres(Dialect):
    def __init__(self, url: URL, connection: Connection, context: Context, watch: Watch) -> None:
        milliseconds = str(max(1, int(watch.seconds * 1000)))
        arguments: dict[str, Any] = {
            "timeout": min(watch.seconds, context.settings.api_timeout_seconds),
            "server_settings": {
                "application_name": "collector source", "default_transaction_read_only": "on",
                "statement_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds,
                "timezone": "UTC", "intervalstyle": "iso_8601", "datestyle": "ISO",
            },
        }  # fmt: skip
        if connection.ca_file:
            arguments["ssl"] = trusting(connection)
        super().__init__(create_async_engine(url, poolclass=NullPool, connect_args=arguments))
        event.listen(self.engine.sync_engine, "connect", lambda connection, _: connection.run_async(take_text))
        self.longest = context.settings.max_record_bytes

    async def connect(self) -> AsyncConnection:
        return await (await self.engine.connect()).execution_options(postgresql_readonly=True)

    async def statement(self, connection: AsyncConnection, query: str) -> TextClause:
        """The query, once the server has found it to be one statement by itself, within another that writes the JSON."""
        await self.refuse_unclear(connection, query)
        return text(
            "SELECT CASE WHEN pg_catalog.octet_length(collector_text) <= "
            f"{self.longest} THEN collector_text END FROM (SELECT pg_catalog.row_to_json(collector_row)::pg_catalog.text"
            f" AS collector_text FROM (\n{query.rstrip().rstrip(';')}\n) AS collector_row) AS collector_rows"
        )

    async def refuse_unclear(self, connection: AsyncConnection, query: str) -> None:
        compiled = str(text(query).compile(dialect=self.engine.dialect))
        raw = await connection.get_raw_connection()
        driver: asyncpg.Connection[Any] = raw.driver_connection  # type: ignore[assignment]
        try:
            prepared = await driver.prepare(compiled)
        except asyncpg.PostgresError as error:
            raise SourceError(f"config.query: {first_line(error)}") from None
        if not prepared.get_attributes():
            raise SourceError("config.query: returns no rows; a SELECT is needed")
        distinct([attribute.name for attribute in prepared.get_attributes()])

    def names(self, result: AsyncResult[Any]) -> Sequence[str]:
        return ()

    def texts(self, names: Sequence[str], rows: Sequence[Any], first: int) -> Batch:
        if any(text is None for (text,) in rows):
            raise SourceError(f"a row has more than the {self.longest} bytes that are permitted")
        return passed([text.replace("\n", "").encode() for (text,) in rows], lambda index: f"row {first + index}")

    def may_pass(self, error: BaseException) -> bool:
        return str(getattr(error, "sqlstate", "") or "").startswith(PASSING)


def trusting(connection: Connection) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=connection.ca_file)
    except OSError as error:
        reason = "no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise SourceError(f"setting source_connections: ca_file cannot be read: {reason}") from None


async def take_text(connection: "asyncpg.Connection[Any]") -> None:
    """Parameters of these types are given as text, as JSON has them; the server reads it as it does in SQL."""
    for name in AS_TEXT:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")
