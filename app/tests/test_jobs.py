"""Jobs from the trigger to the result, and what happens to them when something dies."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import query, serving
from test_api import TRIGGER, file_job, is_problem

from collector import database, jobs, queue
from collector import worker as worker_module
from collector.settings import Settings
from collector.sources import files
from collector.worker import Worker

pytestmark = pytest.mark.docker


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Worker]:
    engine, redis = database.engine(settings, "test-worker", 10), queue.connect(settings)
    worker = Worker(settings, engine, redis, f"test-{uuid.uuid4().hex[:6]}", asyncio.Event())
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stopping.set()
        await asyncio.wait_for(task, 10)
        await redis.aclose()
        await engine.dispose()


async def trigger(client: httpx.AsyncClient, path: Path) -> dict[str, Any]:
    answer = await client.post(TRIGGER, json=file_job(path))
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def until(client: httpx.AsyncClient, job: dict[str, Any], *states: str, seconds: float = 12) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (status := (await client.get(job["status_url"])).json())["status"] not in states:
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.03)
    found: dict[str, Any] = status
    return found


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", "x,y\n1,ä\n", [{"x": "1", "y": "ä"}]),
        ("a.json", '[{"x": 1.5, "y": {"z": null}}]', [{"x": 1.5, "y": {"z": None}}]),
        ("a.jsonl", '{"x": 1}\n{"x": 2}\n', [{"x": 1}, {"x": 2}]),
        ("none.csv", "x\n", []),
    ],
)
async def test_a_job_runs_to_its_result(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, name: str, content: str, rows: list[dict[str, Any]]
) -> None:
    (inbox / name).write_text(content)
    async with working(settings):
        job = await trigger(client, inbox / name)
        status = await until(client, job, "succeeded")
    assert (status["rows"], status["error"]) == (len(rows), None)
    result = (await client.get(job["result_url"])).json()
    assert (result["rows"], result["total"], result["next_after"]) == (rows, len(rows), None)


async def test_a_long_result_comes_in_pages(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    (inbox / "long.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(1203)))
    async with working(settings):
        job = await trigger(client, inbox / "long.csv")
        await until(client, job, "succeeded")
    seen, after = [], 0
    while after is not None:
        page = (await client.get(job["result_url"], params={"after": after, "limit": 500})).json()
        seen, after = seen + page["rows"], page["next_after"]
    assert seen == [{"n": str(n)} for n in range(1203)]
    assert is_problem(await client.get(job["result_url"], params={"limit": 0}), 422, "invalid-request")


async def test_a_job_that_fails_says_why_and_keeps_no_rows(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    (inbox / "bad.csv").write_text("x\n" + "1\n" * 1200 + "1,2\n")
    async with working(settings):
        bad, missing = await trigger(client, inbox / "bad.csv"), await trigger(client, inbox / "none.csv")
        assert "line 1202: has 2 values" in (await until(client, bad, "failed"))["error"]
        assert "No such file" in (await until(client, missing, "failed"))["error"]
    answer = await client.get(bad["result_url"])
    assert is_problem(answer, 409, "job-failed")
    assert "line 1202" in answer.json()["detail"]
    assert await query(settings, "SELECT count(*) FROM job_rows") == [(0,)]


async def test_what_postgresql_refuses_fails_the_job(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    (inbox / "huge.json").write_text('[{"x": 1' + "0" * 140_000 + "}]")
    async with working(settings):
        job = await trigger(client, inbox / "huge.json")
        assert (await until(client, job, "failed"))["error"]


async def test_a_bug_fails_its_job_and_the_worker_goes_on(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.csv").write_text("x\n1\n")

    def broken(*_: object) -> None:
        raise RuntimeError("an inner matter")

    async with working(settings):
        with monkeypatch.context() as patch:
            patch.setattr(files, "read", broken)
            bad = await trigger(client, inbox / "a.csv")
            assert "unexpected" in (await until(client, bad, "failed"))["error"]
        await until(client, await trigger(client, inbox / "a.csv"), "succeeded")


async def test_a_job_that_redis_never_got_is_found(settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_SECONDS", 1)
    (inbox / "a.csv").write_text("x\n1\n")
    async with serving(settings, redis_port=1) as client, working(settings):
        await until(client, await trigger(client, inbox / "a.csv"), "succeeded")


async def test_a_dead_workers_job_is_taken_over(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    """The dead one had claimed it, had read its entry of the queue, and never came back."""
    (inbox / "a.csv").write_text("x\n1\n")
    job = await trigger(client, inbox / "a.csv")
    engine, redis = database.engine(settings, "test", 5), queue.connect(settings)
    await queue.ensure_group(redis)
    ticket = await queue.take(redis, "dead", 1000, 60_000)
    assert ticket is not None
    claimed = await jobs.claim(engine, ticket.job_id, "dead", 1)
    assert claimed is not None
    assert await jobs.claim(engine, ticket.job_id, "other", 1) is None, "it is held"
    async with working(settings):
        assert (await until(client, job, "succeeded"))["rows"] == 1
    with pytest.raises(jobs.LeaseLost):
        await jobs.fail(engine, claimed, "dead", "too late")
    assert await queue.length(redis) == 0
    await redis.aclose()
    await engine.dispose()


def slowly(seconds: float, real: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        time.sleep(seconds)
        yield from real(*arguments)

    return read


async def test_a_long_job_keeps_its_lease(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "read", slowly(2.5, files.read))
    (inbox / "a.csv").write_text("x\n1\n")
    async with working(settings), working(settings):
        job = await trigger(client, inbox / "a.csv")
        first = await until(client, job, "running")
        last = await until(client, job, "succeeded")
    assert first["started_at"] == last["started_at"], "nobody took it over"


@pytest.mark.parametrize(("seconds", "state"), [(0.5, "succeeded"), (3, "queued")], ids=["in time", "too long"])
async def test_a_worker_told_to_stop_finishes_in_time_or_gives_back(
    client: httpx.AsyncClient,
    settings: Settings,
    inbox: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    state: str,
) -> None:
    monkeypatch.setattr(files, "read", slowly(seconds, files.read))
    (inbox / "a.csv").write_text("x\n1\n")
    async with working(settings) as worker:
        job = await trigger(client, inbox / "a.csv")
        await until(client, job, "running")
        worker.stopping.set()
    assert (await client.get(job["status_url"])).json()["status"] == state
    redis = queue.connect(settings)
    assert await queue.length(redis) == (0 if state == "succeeded" else 1)
    await redis.aclose()


async def test_the_worker_waits_for_the_schema_with_a_heartbeat(empty: Settings) -> None:
    async with working(empty) as worker:
        await asyncio.sleep(0.3)
        assert empty.heartbeat_file.exists()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.stopping.wait(), 0.1)
        assert not worker.stopping.is_set()
