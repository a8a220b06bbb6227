"""A source of type `database`: one query, read-only, over a connection that the settings name, or a SQLite file."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any, Self

import asyncpg
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult

from collector.sources import BATCH_CHARACTERS, BATCH_ROWS, Batch, Context, SourceError
from collector.sources.dialects import of_connection
from collector.sources.generic import Dialect, first_line
from collector.sources.opening import plain_path
from collector.sources.records import within
from collector.sources.sqlite import Sqlite
from collector.sources.watching import Watch

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Scalar = str | int | float | bool | None
FIRST_FETCH, GROWTH = 32, 4


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    connection: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["crm"])] | None = Field(
        None, description="name of a connection in the settings"
    )
    path: Annotated[str, Field(max_length=4096, examples=["/data/inbox/stations.db"]), AfterValidator(plain_path)] | None = (
        Field(None, description="instead of it: a SQLite file below a permitted folder")
    )
    query: str = Field(
        min_length=1, max_length=100_000, description="one statement that returns rows; :name is a parameter, \\: a colon",
        examples=["SELECT station, value FROM readings WHERE day >= :since"],
    )  # fmt: skip
    parameters: dict[Name, Scalar | list[Scalar]] = Field(
        {}, description="bound, never written into the query", examples=[{"since": "2026-01-01"}]
    )
    timeout_seconds: float | None = Field(None, gt=0, description="at most what the setting max_source_seconds says")

    @model_validator(mode="after")
    def one_place(self) -> Self:
        if (self.connection is None) == (self.path is None):
            raise ValueError("either `connection` or `path` says where to ask")
        return self


async def collect(config: Config, context: Context) -> AsyncGenerator[Batch, None]:
    secret = password(config, context)
    try:
        async with aclosing(within(read(config, context, secret), context)) as batches:
            async for batch in batches:
                yield batch
    except SourceError as error:
        reason = error.reason.replace(secret, "***") if secret else error.reason
        raise SourceError(reason, retryable=error.retryable) from None


def password(config: Config, context: Context) -> str:
    if config.connection is None:
        return ""
    known = context.settings.source_connections
    if config.connection not in known:
        raise SourceError(f"config.connection: there is no connection {config.connection!r} in the settings")
    name = known[config.connection].password
    return context.secret(name).get_secret_value() if name else ""


async def read(config: Config, context: Context, secret: str) -> AsyncGenerator[Batch, None]:
    watch = Watch(context, config.timeout_seconds)
    dialect = opened(config, context, watch, secret)
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(dialect.close)
            connection = await watch.done(dialect.connect())
            stack.push_async_callback(watch.closed, connection.close)
            result = await watch.done(asked(connection, config, dialect))
            async with aclosing(fetched(result, dialect, watch, context)) as batches:
                async for batch in batches:
                    yield batch
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        watch.check()
        raise explained(config, error, dialect) from None


def opened(config: Config, context: Context, watch: Watch, secret: str) -> Dialect:
    if config.path is not None or config.connection is None:
        return Sqlite(config.path or "", context, watch)
    try:
        return of_connection(context.settings.source_connections[config.connection], secret, context, watch)
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise SourceError(f"setting source_connections.{config.connection}.url: {first_line(error)}") from None


async def asked(connection: AsyncConnection, config: Config, dialect: Dialect) -> AsyncResult[Any]:
    names = set(text(config.query).compile().params)
    for name in sorted(names ^ config.parameters.keys()):
        raise SourceError(f"config.parameters.{name}: {'is missing' if name in names else 'is not in the query'}")
    statement = await dialect.statement(connection, config.query)
    return await connection.stream(statement, config.parameters, execution_options={"max_row_buffer": 1})


async def fetched(result: AsyncResult[Any], dialect: Dialect, watch: Watch, context: Context) -> AsyncGenerator[Batch, None]:
    """Few rows at first, then as many as a batch takes: nobody knows how wide they are."""
    names, done, size = dialect.names(result), 0, FIRST_FETCH
    while rows := await watch.done(result.fetchmany(size)):
        batch = dialect.texts(names, rows, done + 1)
        if max(map(len, batch)) > context.settings.max_record_bytes:
            raise SourceError(f"a row has more than the {context.settings.max_record_bytes} bytes that are permitted")
        yield batch
        done += len(rows)
        context.progress(done, None)
        average = len(batch.text) // len(batch) + 1
        size = max(1, min(BATCH_ROWS, size * GROWTH, BATCH_CHARACTERS // average))


def explained(config: Config, error: Exception, dialect: Dialect) -> SourceError:
    """What the database says. A lost connection or a stopping server may be better later; a wrong query will not."""
    where = config.path or f"connection {config.connection}"
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig
    lost = isinstance(cause, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    return SourceError(f"{where}: {first_line(cause)}", retryable=lost or dialect.may_pass(cause))
