"""Each migration, up and down, on data."""

import re
import uuid
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from conftest import query
from sqlalchemy import Connection

from collector import database, migrate
from collector.settings import Settings

SCRIPTS = sorted((Path(migrate.__file__).parent / "migrations/versions").glob("0*.py"))
JOB = uuid.UUID(int=7)


async def go(settings: Settings, revision: str) -> None:
    def change(connection: Connection) -> None:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        here = migrate.revision(connection) or ""
        (command.upgrade if here < revision else command.downgrade)(config, revision)

    engine = database.engine(settings, "test", 30)
    async with engine.begin() as connection:
        await connection.run_sync(change)
    await engine.dispose()


def test_every_migration_says_whether_it_expands_or_contracts() -> None:
    for script in ScriptDirectory.from_config(migrate.alembic_config()).walk_revisions():
        if script.revision != "0001":
            assert script.module.kind in ("expand", "contract")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_expands_takes_nothing_away(path: Path) -> None:
    """Nothing dropped, renamed or made stricter: the release before goes on writing."""
    text = path.read_text().partition("def downgrade")[0]
    added = text.partition("def columns")[2].partition("def upgrade")[0]
    if 'kind = "expand"' in text:
        assert not re.search(r"drop_|rename|alter_column", text)
        assert all("server_default" in line for line in added.splitlines() if "nullable=False" in line)


@pytest.mark.docker
async def test_rows_survive_every_step_up_and_down(empty: Settings) -> None:
    await go(empty, "0001")
    await query(
        empty,
        f"INSERT INTO jobs (id, source_type, config, state, row_count) VALUES ('{JOB}', 'file', '{{}}', 'succeeded', 2500)",
    )
    fill = f"INSERT INTO job_rows SELECT '{JOB}', n, jsonb_build_object('n', n, 't', E'a\\nb') FROM generate_series(1, 2500) n"
    await query(empty, fill.replace(":", "\\:"))
    before = await query(empty, "SELECT number, data FROM job_rows ORDER BY 1")
    await go(empty, "0002")
    assert await query(empty, "SELECT first, count FROM job_chunks ORDER BY 1") == [(1, 1000), (1001, 1000), (2001, 500)]
    assert await query(empty, "SELECT attempt, max_attempts, cancel_requested, due_at IS NULL FROM jobs") == [
        (0, 5, False, False)
    ]
    await query(empty, f"INSERT INTO jobs (id, source_type, config, state) VALUES ('{uuid.uuid4()}', 'file', '{{}}', 'queued')")
    await go(empty, "0003")
    assert await query(empty, "SELECT to_regclass('job_rows')::text".replace(":", "\\:")) == [(None,)]
    await query(empty, "UPDATE jobs SET state = 'dead' WHERE state = 'queued'")
    await go(empty, "0002")
    await go(empty, "0001")
    assert await query(empty, "SELECT number, data FROM job_rows ORDER BY 1") == before
    assert await query(empty, "SELECT state, count(*) FROM jobs GROUP BY 1 ORDER BY 1") == [("failed", 1), ("succeeded", 1)]
    await go(empty, "0003")
    assert await query(empty, "SELECT sum(count) FROM job_chunks") == [(2500,)]
