"""The source `database`: PostgreSQL and SQLite, read-only, bounded, every value as it is."""

import asyncio
import sqlite3
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from conftest import PASSWORD, Services, administer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from source_context import Rows, all_batches, context, refusal, rows
from sqlalchemy.dialects import registry
from sqlalchemy.ext.asyncio import create_async_engine

from collector.sources import Cancelled, Context, SourceError
from collector.sources.database import Config, collect
from collector.sources.generic import Dialect
from collector.sources.records import passed
from collector.sources.settings import Connection, SourceSettings
from collector.sources.values import plain


@pytest.fixture
async def crm(services: Services) -> AsyncIterator[Context]:
    """A context in which `crm` is a database with a table `readings` of 5000 rows."""
    name = f"s{uuid.uuid4().hex}"
    await administer(services, f"CREATE DATABASE {name}")
    own = await connect(services, name)
    await own.execute("CREATE TABLE readings AS SELECT n, 'st-' || n AS station FROM generate_series(1, 5000) AS n")
    await own.close()
    server = f"postgresql://collector@127.0.0.1:{services.postgres_port}"
    yield context(
        secrets={"crm_password": PASSWORD, "wrong": "not-the-password"},
        source_connections={
            "crm": {"url": f"{server}/{name}", "password": "crm_password"},
            "wrong": {"url": f"{server}/{name}", "password": "wrong"},
            "nowhere": {"url": f"{server}/nowhere", "password": "crm_password"},
            "closed": {"url": "postgresql://collector@127.0.0.1:1/x", "password": "crm_password"},
        },
    )
    await administer(services, f"DROP DATABASE {name} WITH (FORCE)")


async def connect(services: Services, name: str) -> "asyncpg.Connection[Any]":
    return await asyncpg.connect(
        host="127.0.0.1", port=services.postgres_port, user="collector", password=PASSWORD, database=name
    )


def changed(given: Context, **changes: Any) -> Context:
    hooks = {name: changes.pop(name) for name in ("progress", "cancelled") if name in changes}
    return Context(SourceSettings(**{**given.settings.model_dump(), **changes}), given.secret, **hooks)


async def ask(given: Context, query: str, connection: str = "crm", **config: Any) -> Rows:
    return await rows(collect(Config(connection=connection, query=query, **config), given))


async def why(given: Context, query: str, connection: str = "crm", **config: Any) -> SourceError:
    return await refusal(lambda: collect(Config(connection=connection, query=query, **config), given))


@pytest.mark.docker
class TestPostgres:
    async def test_rows_come_in_order_in_batches_and_the_progress_is_told(self, crm: Context) -> None:
        told = list[float]()
        given = changed(crm, progress=lambda done, total: told.append(done))
        query = "SELECT n, station FROM readings ORDER BY n DESC; "
        found = await all_batches(collect(Config(connection="crm", query=query), given))
        assert [orjson.loads(each) for batch in found for each in batch] == [
            {"n": n, "station": f"st-{n}"} for n in range(5000, 0, -1)
        ]
        assert max(map(len, found)) == 1000
        assert told[-1] == 5000

    @pytest.mark.parametrize(
        ("expression", "text"),
        [
            ("12345678901234567890.10::numeric", "12345678901234567890.10"),
            ("9223372036854775807", "9223372036854775807"),
            ("'NaN'::float8", '"NaN"'),
            ("'-Infinity'::float8", '"-Infinity"'),
            ("'NaN'::numeric", '"NaN"'),
            ("0.1::float8", "0.1"),
            ("true", "true"),
            ("NULL", "null"),
            (r"'\xdeadbeef'::bytea", r'"\\xdeadbeef"'),
            ("'2026-01-02'::date", '"2026-01-02"'),
            ("'infinity'::date", '"infinity"'),
            ("'2026-01-02 03:04:05.678+02'::timestamptz", '"2026-01-02T01:04:05.678+00:00"'),
            ("'2026-01-02 03:04:05'::timestamp", '"2026-01-02T03:04:05"'),
            ("'0044-03-15 BC'::date", '"0044-03-15 BC"'),
            ("'1 mon 2 days'::interval", '"P1M2D"'),
            ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
            ("ARRAY[1, NULL, 3]", "[1,null,3]"),
            ("ARRAY[ARRAY['a','b']]", '[["a","b"]]'),
            ("""'{"b": [1.10, null]}'::jsonb""", '{"b": [1.10, null]}'),
            ("""E'{"b"\\:\n\t1.10}'::json""", '{"b":1.10}'),
            ("ROW(1, 'x')", '{"f1":1,"f2":"x"}'),
            ("int4range(1, 5)", '"[1,5)"'),
            ("'10.0.0.1/8'::inet", '"10.0.0.1/8"'),
            ("'ä\"\\'", r'"ä\"\\"'),
            ("'a' || chr(10) || 'b'", r'"a\nb"'),
        ],
    )
    async def test_every_value_comes_as_it_is(self, crm: Context, expression: str, text: str) -> None:
        query = f"SELECT {expression} AS x"
        found = await all_batches(collect(Config(connection="crm", query=query), crm))
        assert [list(batch) for batch in found] == [[f'{{"x":{text}}}']]

    @pytest.mark.parametrize(
        ("condition", "value"),
        [
            ("'2026-01-02'::date = :p", "2026-01-02"),
            ("'2026-01-02 03:04Z'::timestamptz = :p", "2026-01-02T04:04:00+01:00"),
            ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid = :p", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("1.5::numeric = :p", 1.5),
            ("1.5::numeric = :p", "1.5"),
            ("2 = ANY(:p)", [1, 2]),
            ("'x' = :p", "x"),
            ("true = :p", True),
            ("1.5::float8 = :p", 1.5),
            ("CAST(:p AS text) IS NULL", None),
        ],
    )
    async def test_parameters_are_bound(self, crm: Context, condition: str, value: Any) -> None:
        assert await ask(crm, f"SELECT 1 AS x WHERE {condition}", parameters={"p": value}) == [{"x": 1}]

    async def test_a_parameter_is_never_a_part_of_the_query(self, crm: Context) -> None:
        hostile = "x'; DROP TABLE readings; --"
        assert await ask(crm, "SELECT CAST(:p AS text) AS x", parameters={"p": hostile}) == [{"x": hostile}]
        assert await ask(crm, "SELECT count(*) AS c FROM readings") == [{"c": 5000}]

    async def test_a_query_ends_where_it_ends(self, crm: Context) -> None:
        assert await ask(crm, r"SELECT 'a\:b' AS x -- a comment") == [{"x": "a:b"}]
        assert await ask(crm, "WITH c AS (VALUES (1)) TABLE c;") == [{"column1": 1}]
        assert await ask(crm, "SELECT 1 AS x WHERE false") == []

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("SELECT 1; SELECT 2", "cannot insert multiple commands"),
            ("SELECT 1; DROP TABLE readings", "cannot insert multiple commands"),
            ("SELECT 1) AS a, (SELECT 2", "syntax error"),
            ("SELECT 1 /*", "unterminated"),
            ("SELECT 1 AS x, 2 AS x", "two columns are named 'x'"),
            ("DROP TABLE readings", "returns no rows"),
            ("COMMIT", "returns no rows"),
            ("DELETE FROM readings RETURNING n", "syntax error"),
            ("SHOW timezone", "syntax error"),
            ("WITH d AS (DELETE FROM readings RETURNING n) SELECT * FROM d", "must be at the top level"),
            ("SELECT * FROM readings FOR UPDATE", "read-only transaction"),
            ("SELECT nextval('s') FROM readings", 'relation "s" does not exist'),
            (
                "SELECT set_config('transaction_read_only', 'off', true)",
                "transaction read-write mode must be set before any query",
            ),
            ("SELECT lo_create(0)", "read-only transaction"),
            ("SELECT nonsense FROM readings", 'column "nonsense" does not exist'),
            ("SELECT 1 / 0 AS x", "division by zero"),
            ("SELECT n FROM readings WHERE n = :n", "config.parameters.n: is missing"),
        ],
    )
    async def test_what_is_no_reading_query_is_refused(self, crm: Context, query: str, message: str) -> None:
        error = await why(crm, query)
        assert message in error.reason
        assert not error.retryable
        assert await ask(crm, "SELECT count(*) AS c FROM readings") == [{"c": 5000}]

    async def test_wrong_parameters_are_named(self, crm: Context) -> None:
        error = await why(crm, "SELECT 1 AS x", parameters={"p": 1})
        assert error.reason == "config.parameters.p: is not in the query"
        error = await why(crm, "SELECT 1 AS x WHERE 1 = :p", parameters={"p": "one"})
        assert "$1: 'one'" in error.reason

    async def test_the_time_is_limited_and_the_server_stops(self, crm: Context, services: Services) -> None:
        start = time.monotonic()
        error = await why(crm, "SELECT pg_sleep(60)", timeout_seconds=0.5)
        assert ("takes longer than" in error.reason) or ("statement timeout" in error.reason)
        assert not error.retryable
        assert time.monotonic() < start + 10
        await self.nothing_runs(services)

    async def test_a_cancelled_job_stops_the_query_at_the_server(self, crm: Context, services: Services) -> None:
        start = time.monotonic()
        with pytest.raises(Cancelled):
            await ask(changed(crm, cancelled=lambda: time.monotonic() > start + 0.5), "SELECT pg_sleep(60)")
        assert time.monotonic() < start + 10
        await self.nothing_runs(services)

    async def test_a_cancelled_task_stops_the_query_at_the_server(self, crm: Context, services: Services) -> None:
        task = asyncio.create_task(ask(crm, "SELECT pg_sleep(60)"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await self.nothing_runs(services)

    async def test_a_consumer_that_leaves_ends_the_session(self, crm: Context, services: Services) -> None:
        batches = collect(Config(connection="crm", query="SELECT generate_series(1, 100000000) AS n"), crm)
        await anext(batches)
        await batches.aclose()
        await self.nothing_runs(services)

    async def nothing_runs(self, services: Services) -> None:
        own = await connect(services, "collector")
        try:
            for _ in range(50):
                query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'collector source'"
                if await own.fetchval(query) == 0:
                    return
                await asyncio.sleep(0.1)
            pytest.fail("a query of the source still runs")
        finally:
            await own.close()

    async def test_the_rows_are_limited(self, crm: Context) -> None:
        error = await why(changed(crm, max_rows=100), "SELECT n FROM readings")
        assert error.reason == "has more than the 100 rows that are permitted"

    async def test_a_row_is_limited_at_the_server(self, crm: Context) -> None:
        error = await why(changed(crm, max_record_bytes=1000), "SELECT repeat('x', 5000000) AS x")
        assert error.reason == "a row has more than the 1000 bytes that are permitted"

    async def test_memory_does_not_grow_with_the_result(self, crm: Context) -> None:
        tracemalloc.start()
        count = 0
        query = "SELECT n, repeat('x', 2000) AS x FROM generate_series(1, 20000) AS n"
        async for batch in collect(Config(connection="crm", query=query), crm):
            count += len(batch)
        assert count == 20_000
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
        tracemalloc.stop()

    async def test_what_json_cannot_hold_is_named(self, crm: Context) -> None:
        error = await why(crm, r"""SELECT '"\u0000"'::json AS x""")
        assert error.reason == "row 1: holds the character NUL"

    @pytest.mark.parametrize(
        ("connection", "message", "retryable"),
        [
            ("wrong", "password authentication failed", False),
            ("nowhere", 'database "nowhere" does not exist', False),
            ("closed", "connection closed: ", True),
            ("unknown", "config.connection: there is no connection 'unknown' in the settings", False),
        ],
    )
    async def test_a_connection_that_fails_is_told_without_its_password(
        self, crm: Context, connection: str, message: str, retryable: bool
    ) -> None:
        error = await why(crm, "SELECT 1", connection)
        assert message in error.reason
        assert error.retryable == retryable
        assert PASSWORD not in error.reason
        assert "not-the-password" not in error.reason

    async def test_a_lost_session_is_retryable(self, crm: Context, services: Services) -> None:
        task = asyncio.create_task(why(crm, "SELECT pg_sleep(60)"))
        await asyncio.sleep(1)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'collector source'"
        own = await connect(services, "collector")
        await own.execute(kill)
        await own.close()
        error = await task
        assert error.retryable

    async def test_a_password_that_is_in_the_rows_stays_out_of_errors(self, crm: Context) -> None:
        error = await why(crm, "SELECT CAST(CAST(:p AS text) AS int) AS x", parameters={"p": PASSWORD})
        assert PASSWORD not in error.reason

    async def test_an_own_authority_is_asked_for_tls(self, crm: Context, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing")
        plain_connection = crm.settings.source_connections["crm"]
        for name, message in (("none.pem", "No such file"), ("ca.pem", "no certificates")):
            connection = plain_connection.model_copy(update={"ca_file": tmp_path / name})
            error = await why(changed(crm, source_connections={"crm": connection}), "SELECT 1")
            assert message in error.reason


@pytest.fixture
def stations(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "stations.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as own:
        own.execute("CREATE TABLE stations (n INTEGER, name TEXT, raw BLOB, value REAL, at TEXT)")
        own.execute("INSERT INTO stations VALUES (9223372036854775807, 'ä', x'dead', 9e999, '2026-01-01')")
        own.executemany("INSERT INTO stations VALUES (?, NULL, NULL, 0.1, '')", ((n,) for n in range(5000)))
    own.close()
    with sqlite3.connect(tmp_path / "secret.db") as other:
        other.execute("CREATE TABLE secrets (word TEXT)")
        other.execute("INSERT INTO secrets VALUES ('canary')")
    other.close()
    return path


async def ask_file(path: Path, query: str, given: Context | None = None, **config: Any) -> Rows:
    return await rows(collect(Config(path=str(path), query=query, **config), given or context(path.parent)))


async def why_file(path: Path, query: str, given: Context | None = None, **config: Any) -> SourceError:
    collected = Config(path=str(path), query=query, **config)
    return await refusal(lambda: collect(collected, given or context(path.parent)))


def content_of(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


class TestSqlite:
    async def test_every_value_comes_as_it_is(self, stations: Path) -> None:
        found = await ask_file(stations, "SELECT * FROM stations LIMIT 2")
        assert found == [
            {"n": 2**63 - 1, "name": "ä", "raw": "\\xdead", "value": "Infinity", "at": "2026-01-01"},
            {"n": 0, "name": None, "raw": None, "value": 0.1, "at": ""},
        ]

    async def test_rows_come_in_batches_with_parameters_bound(self, stations: Path) -> None:
        config = Config(path=str(stations), query="SELECT n FROM stations WHERE n < :most", parameters={"most": 3000})
        found = await all_batches(collect(config, context(stations.parent)))
        assert sum(map(len, found)) == 3000
        assert max(map(len, found)) == 1000

    async def test_a_connection_may_name_a_file_too(self, stations: Path) -> None:
        given = context(stations.parent, source_connections={"stations": {"url": f"sqlite:///{stations}"}})
        assert await ask(given, "SELECT count(*) AS c FROM stations", "stations") == [{"c": 5001}]

    async def test_a_file_that_is_written_meanwhile_is_read(self, stations: Path) -> None:
        own = sqlite3.connect(stations)
        own.execute("PRAGMA journal_mode = WAL")
        own.execute("DELETE FROM stations WHERE n > 10")
        own.commit()
        assert await ask_file(stations, "SELECT count(*) AS c FROM stations") == [{"c": 11}]
        own.close()

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("SELECT 1; SELECT 2", "one statement at a time"),
            ("DELETE FROM stations", "not authorized"),
            ("DELETE FROM stations RETURNING n", "not authorized"),
            ("CREATE TEMP TABLE x (y)", "not authorized"),
            ("ATTACH DATABASE '{folder}/secret.db' AS other", "not authorized"),
            ("VACUUM INTO '{folder}/in/copy.db'", "authorization denied"),
            ("PRAGMA query_only = 0", "not authorized"),
            ("SELECT * FROM pragma_database_list", "not authorized"),
            ("SELECT load_extension('x')", "not authorized"),
            ("SELECT fts3_tokenizer('simple')", "not authorized"),
            ("SELECT readfile('/etc/passwd')", "no such function"),
            ("SELECT zeroblob(100000000) AS x", "too big"),
            ("SELECT 1 AS x, 2 AS x", "two columns are named 'x'"),
            ("SELECT nonsense FROM stations", "no such column"),
            (r"SELECT 'a' || char(0) AS x", "row 1: holds the character NUL"),
        ],
    )
    async def test_what_is_no_reading_query_is_refused(self, stations: Path, query: str, message: str) -> None:
        before = content_of(stations)
        error = await why_file(stations, query.format(folder=stations.parent.parent).replace(":", "\\:"))
        assert message in error.reason
        assert not error.retryable
        assert content_of(stations) == before

    async def test_text_that_is_no_text_is_told(self, stations: Path) -> None:
        error = await why_file(stations, "SELECT CAST(x'ff' AS TEXT) AS x")
        assert "Could not decode to UTF-8" in error.reason

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("link.db", "not below a permitted folder"),
            ("none.db", "cannot be opened: No such file"),
            ("text.db", "file is not a database"),
            ("folder.db", "is not a regular file"),
        ],
    )
    async def test_only_files_below_the_folders_are_opened(self, stations: Path, name: str, message: str) -> None:
        (stations.parent / "link.db").symlink_to("../secret.db")
        (stations.parent / "text.db").write_text("no database " * 100)
        (stations.parent / "folder.db").mkdir()
        error = await why_file(stations.parent / name, "SELECT * FROM secrets")
        assert message in error.reason
        assert not (stations.parent / "none.db").exists()

    async def test_a_file_that_is_exchanged_while_it_is_opened_is_refused(
        self, stations: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        swap = stations.parent / "swap.db"
        swap.symlink_to("../secret.db")
        monkeypatch.setattr("collector.sources.sqlite.real_path", lambda fd: swap)
        error = await why_file(stations, "SELECT * FROM secrets")
        assert "was exchanged while it was opened" in error.reason

    ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"

    async def test_the_time_is_limited(self, stations: Path) -> None:
        start = time.monotonic()
        error = await why_file(stations, self.ENDLESS, timeout_seconds=0.5)
        assert error.reason == "takes longer than the 0.5 seconds that are permitted"
        assert time.monotonic() < start + 5

    async def test_a_cancelled_job_and_a_cancelled_task_stop_the_query(self, stations: Path) -> None:
        start = time.monotonic()
        given = context(stations.parent, cancelled=lambda: time.monotonic() > start + 0.3)
        with pytest.raises(Cancelled):
            await ask_file(stations, self.ENDLESS, given)
        task = asyncio.create_task(ask_file(stations, self.ENDLESS))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() < start + 8

    async def test_a_row_is_limited(self, stations: Path) -> None:
        given = context(stations.parent, max_record_bytes=1000)
        error = await why_file(stations, "SELECT hex(randomblob(300)) AS a, hex(randomblob(300)) AS b", given)
        assert error.reason == "a row has more than the 1000 bytes that are permitted"

    async def test_a_locked_file_is_retryable(self, stations: Path) -> None:
        own = sqlite3.connect(stations, isolation_level=None)
        own.execute("BEGIN EXCLUSIVE")
        error = await why_file(stations, "SELECT * FROM stations")
        own.close()
        assert "database is locked" in error.reason
        assert error.retryable


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle+nodriver://h/x", "setting source_connections.x.url: Can't load plugin"),
        ("mysql+aiomysql://h/x", "setting source_connections.x.url: No module named 'aiomysql'"),
    ],
)
async def test_a_database_without_its_driver_is_told(url: str, message: str) -> None:
    error = await why(context(source_connections={"x": {"url": url}}), "SELECT 1", "x")
    assert message in error.reason


async def test_another_dialect_is_asked_by_its_driver(tmp_path: Path) -> None:
    registry.register("other.aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "dialect")
    given = context(
        secrets={"none": ""}, source_connections={"x": {"url": f"other+aiosqlite:///{tmp_path}/x.db", "password": "none"}}
    )
    assert await ask(given, "SELECT 1.5 AS x", "x") == [{"x": 1.5}]
    error = await why(given, "SELECT nonsense", "x")
    assert error.reason == "connection x: no such column: nonsense"
    assert not error.retryable


async def test_what_has_no_form_in_json_is_named(stations: Path) -> None:
    dialect = Dialect(create_async_engine("sqlite+aiosqlite:///"))
    with pytest.raises(SourceError, match="row 7 or one of the 0 after it: "):
        dialect.texts(["x"], [("\ud800",)], 7)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "either `connection` or `path`"),
        ({"connection": "a", "path": "/a"}, "either `connection` or `path`"),
        ({"connection": "postgresql://me:pw@h/db"}, "connection"),
        ({"path": "../a"}, "path"),
        ({"connection": "a", "query": ""}, "query"),
        ({"connection": "a", "parameters": {"a b": 1}}, "parameters"),
        ({"connection": "a", "parameters": {"a": {"b": 1}}}, "parameters"),
        ({"connection": "a", "timeout_seconds": 0}, "timeout_seconds"),
        ({"connection": "a", "password": "x"}, "password"),
    ],
)
def test_a_wrong_config_is_refused_and_the_field_named(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Config(**{"query": "SELECT 1", **config})


@pytest.mark.parametrize("url", ["postgresql://me:pw@h/db", "postgresql://h/db?password=pw", "nonsense"])
def test_a_password_in_a_connections_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="a URL without a password"):
        Connection(url=url)


@given(
    st.decimals(allow_nan=True)
    | st.floats()
    | st.integers()
    | st.binary()
    | st.timedeltas()
    | st.uuids()
    | st.datetimes()
    | st.lists(st.decimals())
)
def test_any_value_has_a_form_in_json_that_loses_nothing(value: Any) -> None:
    text = orjson.dumps({"x": plain(value), "y": plain({"z": (value,)}), "m": plain(memoryview(b"a"))}).decode()
    if isinstance(value, Decimal) and value.is_finite():
        assert text.startswith(f'{{"x":{value}')
    if isinstance(value, float):
        assert float(orjson.loads(text)["x"]) == value or value != value
    if isinstance(value, bytes):
        assert bytes.fromhex(orjson.loads(text)["x"].removeprefix("\\x")) == value


@pytest.mark.docker
async def test_what_a_batch_may_hold_postgres_holds(services: Services) -> None:
    numbers = ["1e308", "-1e-400", "1e-16383", "0." + "1" * 16_383, "9" * 300, "1E+2", "-0.0"]
    values = [*numbers, "[" * 1000 + "]" * 1000, '"\\ud83d\\ude00 \\\\u0000 \\u0001\\u007f"', '{"a":1,"a":2}', '{"":0}']
    own = await connect(services, "collector")
    try:
        for value in values:
            (line,) = passed([f'{{"x":{value}}}'.encode()], str)
            assert await own.fetchval("SELECT $1::text::jsonb IS NOT NULL", line), value
        for value in ("1e-20000", "1.5E-16383", "[[0." + "1" * 16_384 + "]]"):
            line = f'{{"x":{value}}}'
            with pytest.raises(SourceError, match="more than 16383 digits after the point"):
                passed([b'{"x":"e-99999"}', line.encode()], str)
            with pytest.raises(asyncpg.NumericValueOutOfRangeError):
                await own.fetchval("SELECT $1::text::jsonb IS NOT NULL", line)
    finally:
        await own.close()
