"""Single rows without SQLAlchemy: what is asked, what a dead, a slow and a refusing PostgreSQL come to."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from conftest import changed, query

from collector import lookups
from collector.settings import Settings

pytestmark = pytest.mark.docker
NAME = "collector-test-lookups"
HERE = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'"
DIES = "SELECT pg_terminate_backend(pg_backend_pid()), $1::int"


@pytest.fixture
async def one(settings: Settings) -> AsyncIterator[lookups.Lookups]:
    """With a single connection: who does not give it back is noticed by the next."""
    made = await lookups.connect(changed(settings, database_pool_size=1), NAME, 0.5)
    yield made
    made.close()


async def works(one: lookups.Lookups) -> bool:
    row = await one.one("SELECT $1::int AS number", 7)
    return row is not None and row.number == 7 and one.in_use() == 0


async def test_columns_are_attributes_and_json_is_read(one: lookups.Lookups) -> None:
    row = await one.one("""SELECT '{"a": 1.5}'::jsonb AS data, $1::text AS text""", "x")
    assert row is not None
    assert (row.data, row.text) == ({"a": 1.5}, "x")
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = row.nothing_like_it
    assert await one.one("SELECT 1 WHERE $1::int = 2", 1) is None


async def test_a_refusal_is_told_and_costs_no_connection(one: lookups.Lookups, settings: Settings) -> None:
    before = await one.one("SELECT pg_backend_pid() AS pid, $1::int", 1)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await one.one("SELECT 1 / $1::int", 0)
    after = await one.one("SELECT pg_backend_pid() AS pid, $1::int", 1)
    assert before == after
    assert await query(settings, HERE) == [(1,)]


async def test_who_dies_twice_is_told_and_the_next_gets_a_new_connection(one: lookups.Lookups) -> None:
    with pytest.raises(lookups.Dead):
        await one.one(DIES, 1)
    assert await works(one)


async def test_who_waits_too_long_gives_up_here_and_in_postgresql(one: lookups.Lookups, settings: Settings) -> None:
    assert await works(one)
    begun = time.monotonic()
    waiting = [one.one("SELECT pg_sleep($1)", 30.0) for _ in range(3)]
    assert {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)} == {TimeoutError}
    assert time.monotonic() - begun < 3
    for _ in range(50):
        if await query(settings, HERE) == [(0,)]:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("PostgreSQL still works for nobody")
    assert await works(one)


async def test_who_goes_away_leaves_the_connection_to_others(one: lookups.Lookups) -> None:
    task = asyncio.create_task(one.one("SELECT pg_sleep($1)", 30.0))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert await works(one)
