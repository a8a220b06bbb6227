"""The schema: bringing it up to date, once, and asking whether this code can work with it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import database, logs
from collector.settings import Settings

ADVISORY_LOCK = 0x636F6C6C  # "coll": two upgrades at once wait for each other instead of racing
log = logs.get("collector.migrate")


@dataclass(frozen=True)
class Outcome:
    before: str | None
    after: str | None


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def is_usable(current: str | None, known: frozenset[str], newest: str | None) -> bool:
    """Our newest revision, or one that we do not know: a newer release has expanded the schema and kept it readable."""
    return current is not None and (current == newest or current not in known)


def known_revisions() -> frozenset[str]:
    script = ScriptDirectory.from_config(alembic_config())
    return frozenset(each.revision for each in script.walk_revisions())


async def schema_is_usable(engine: AsyncEngine) -> bool:
    current = await database.reading(engine, lambda connection: connection.run_sync(revision))
    return is_usable(current, known_revisions(), head())


async def upgrade_with(settings: Settings) -> Outcome:
    engine = database.engine(settings, "collector-db", None)
    try:
        return await upgrade(engine, settings.lock_timeout_ms, settings.database_wait_seconds)
    finally:
        await engine.dispose()


async def upgrade(engine: AsyncEngine, lock_timeout_ms: int, wait_seconds: int) -> Outcome:
    """To the newest revision in one transaction; nothing changes if a lock is not had in time."""
    await wait_for_database(engine, wait_seconds)
    async with engine.begin() as connection:
        await connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_timeout_ms)}"))
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        outcome = await connection.run_sync(upgrade_within)
    log.info("schema is up to date", before=outcome.before, after=outcome.after)
    return outcome


def upgrade_within(connection: Connection) -> Outcome:
    before = revision(connection)
    if before is not None and is_usable(before, known_revisions(), head()):
        return Outcome(before, before)
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return Outcome(before, revision(connection))


async def wait_for_database(engine: AsyncEngine, seconds: int) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
                return
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("waiting for the database", error=str(error))
            await asyncio.sleep(1)
