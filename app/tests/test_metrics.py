"""What Prometheus is told, by the API and by a worker."""

import asyncio
import subprocess
from pathlib import Path

import httpx
import pytest
from conftest import query, serving, until, working
from prometheus_client.parser import text_string_to_metric_families
from test_jobs import trigger
from test_processes import COLLECTOR, environment, free_port

from collector.settings import Settings

pytestmark = pytest.mark.docker
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all samples of this name that carry these labels."""
    found = [value for (each, its), value in samples.items() if each == name and labels.items() <= dict(its).items()]
    assert found, (name, labels)
    return sum(found)


async def scraped(client: httpx.AsyncClient) -> Samples:
    return read((await client.get("/metrics")).text)


async def test_the_api_tells_requests_queue_and_workers(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    (inbox / "a.csv").write_text("x\n1\n2\n")
    route = "/api/v1/jobs/status/{job_id}"
    job = await trigger(client, inbox / "a.csv")
    await query(settings, "UPDATE jobs SET due_at = now() - interval '40 seconds'")
    await client.get(job["status_url"])
    waiting = await scraped(client)
    assert value(waiting, "collector_requests_total", method="POST", route="/api/v1/jobs/trigger", status="202") >= 1
    assert value(waiting, "collector_request_seconds_count", route=route) >= 1
    assert value(waiting, "collector_request_seconds_bucket", route=route, le="+Inf") >= 1
    assert value(waiting, "collector_queue_jobs", state="queued") == 1
    assert 40 <= value(waiting, "collector_queue_oldest_seconds") < 60
    assert value(waiting, "collector_database_pool_size", pool="reads") == settings.database_pool_size
    assert value(waiting, "collector_database_pool_size", pool="lookups") == settings.database_pool_size
    for pool in ("transactions", "lookups"):
        assert value(waiting, "collector_database_pool_in_use", pool=pool) == 0
    async with working(settings) as worker:
        await until(client, job, "succeeded")
        after = await scraped(client)
        assert value(after, "collector_worker_heartbeat_age_seconds", worker=worker.name) < 30
        assert value(after, "collector_queue_jobs", state="queued") == 0
        assert value(after, "collector_job_seconds_count", source_type="file", outcome="succeeded") >= 1
        assert value(after, "collector_job_rows_total", source_type="file") >= 2


async def test_a_refusal_is_counted_with_its_reason(settings: Settings) -> None:
    async with serving(settings, rate_limit_per_second=0.1, rate_limit_burst=1) as client:
        url = "/api/v1/jobs"
        assert [(await client.get(url)).status_code for _ in range(2)] == [200, 429]
        assert (await client.get(url, headers={"Authorization": "Bearer x"})).status_code == 401
        found = await scraped(client)
        assert value(found, "collector_requests_refused_total", reason="rate") >= 1
        assert value(found, "collector_requests_refused_total", reason="key-unknown") >= 1


async def test_without_postgresql_there_are_metrics_all_the_same(settings: Settings) -> None:
    async with serving(settings, database_port=1) as client:
        assert value(await scraped(client), "collector_database_pool_size", pool="reads") > 0


async def test_a_worker_has_metrics_of_its_own(settings: Settings) -> None:
    port = free_port()
    variables = environment(settings, COLLECTOR_WORKER_METRICS_PORT=str(port))
    worker = subprocess.Popen([*COLLECTOR, "worker"], env=variables, stderr=subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(100):
                try:
                    found = await scraped(client)
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        assert value(found, "collector_worker_jobs_running") == 0
        assert value(found, "collector_jobs_lost_total") == 0
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 15)
