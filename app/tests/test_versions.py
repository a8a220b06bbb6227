"""An old and a new version at once, on one schema and one queue."""

import asyncio

import httpx
import pytest
from conftest import query, until, working
from test_api import TRIGGER, file_job

from collector.settings import Settings

pytestmark = pytest.mark.docker


async def test_old_and_new_work_side_by_side(settings: Settings, client: httpx.AsyncClient) -> None:
    """A newer release has expanded the schema and takes jobs of a kind, and with fields, that this one does not know."""
    folder = settings.folders[0]
    (folder / "a.csv").write_text("x\n1\n")
    await query(settings, "ALTER TABLE jobs ADD COLUMN priority integer NOT NULL DEFAULT 0")
    await query(settings, "UPDATE alembic_version SET version_num = '9999'")
    assert (await client.get("/health/ready")).status_code == 200
    known, kind, field = [(await client.post(TRIGGER, json=file_job(folder / "a.csv"))).json() for _ in range(3)]
    await query(settings, f"UPDATE jobs SET source_type = 'mail' WHERE id = '{kind['job_id']}'")
    newer = f"UPDATE jobs SET config = config || '{{\"colour\"\\: \"red\"}}' WHERE id = '{field['job_id']}'"
    await query(settings, newer)
    async with working(settings):
        assert (await until(client, known, "succeeded", "failed"))["status"] == "succeeded"
        for job, word in ((kind, "no source of type 'mail'"), (field, "config.colour")):
            for _ in range(100):
                status = (await client.get(job["status_url"])).json()
                if status["error"]:
                    break
                await asyncio.sleep(0.05)
            assert word in status["error"], "left for the newer worker: tried again"
            assert status["status"] in ("queued", "running")
