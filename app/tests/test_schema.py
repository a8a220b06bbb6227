"""Bringing the schema up to date."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import changed, query
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from collector import database, migrate
from collector.models import Base
from collector.settings import Settings

pytestmark = pytest.mark.docker


async def test_upgrade_then_upgrade_again_changes_nothing(empty: Settings) -> None:
    assert await migrate.upgrade_with(empty) == migrate.Outcome(None, migrate.head())
    assert await migrate.upgrade_with(empty) == migrate.Outcome(migrate.head(), migrate.head())


async def test_two_upgrades_at_once_do_not_race(empty: Settings) -> None:
    patient = changed(empty, lock_timeout_ms=5000)
    outcomes = await asyncio.gather(migrate.upgrade_with(patient), migrate.upgrade_with(patient))
    assert sorted(str(outcome.before) for outcome in outcomes) == [str(migrate.head()), "None"]


async def test_an_upgrade_gives_up_when_a_lock_is_held_too_long(empty: Settings) -> None:
    engine = database.engine(empty, "holder", 5)
    async with engine.begin() as holder:
        await holder.execute(text(f"SELECT pg_advisory_xact_lock({migrate.ADVISORY_LOCK})"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            await migrate.upgrade_with(empty)
    await engine.dispose()
    assert await query(empty, "SELECT to_regclass('jobs')::text, to_regclass('alembic_version')::text") == [(None, None)]


async def test_the_schema_of_a_newer_release_is_left_alone(settings: Settings) -> None:
    await query(settings, "UPDATE alembic_version SET version_num = '9999'")
    assert await migrate.upgrade_with(settings) == migrate.Outcome("9999", "9999")


async def test_the_migrations_make_what_the_models_say(settings: Settings) -> None:
    engine = database.engine(settings, "test", 5)
    async with engine.connect() as connection:
        difference = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), Base.metadata))
    await engine.dispose()
    assert difference == []
