"""Jobs from the trigger to the result, and what happens to them when something dies."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Services, query, redis_of, serving, until, working
from taskiq_redis import RedisStreamBroker
from test_api import TRIGGER, file_job, is_problem

from collector import attempt, database, leases
from collector import worker as worker_module
from collector.settings import Settings
from collector.sources import Batch, Context, SourceError, catalogue

pytestmark = pytest.mark.docker


async def trigger(client: httpx.AsyncClient, path: Path) -> dict[str, Any]:
    answer = await client.post(TRIGGER, json=file_job(path))
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


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
    assert await query(settings, "SELECT count(*) FROM job_chunks") == [(0,)]


@dataclass
class Script:
    """A source that does as the test says: each attempt takes the next step, the last one again and again."""

    steps: list[Callable[[Context], AsyncIterator[Batch]]]
    attempts: int = 0

    async def collect(self, config: Any, context: Context) -> AsyncIterator[Batch]:
        step = self.steps[min(self.attempts, len(self.steps) - 1)]
        self.attempts += 1
        async for batch in step(context):
            yield batch


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Script]:
    def install(*steps: Callable[[Context], AsyncIterator[Batch]]) -> Script:
        made = Script(list(steps))
        monkeypatch.setitem(catalogue.SOURCES, "file", replace(catalogue.SOURCES["file"], collect=made.collect))
        return made

    return install


async def rows(context: Context) -> AsyncIterator[Batch]:
    yield Batch.of(['{"x":1}', '{"x":2}'])
    yield Batch.of([])


def slowly(seconds: float) -> Callable[[Context], AsyncIterator[Batch]]:
    async def step(context: Context) -> AsyncIterator[Batch]:
        yield Batch.of(['{"x":0}'])
        context.progress(1, 4)
        await asyncio.sleep(seconds)
        yield Batch.of(['{"x":1}'])

    return step


def failing(error: Exception) -> Callable[[Context], AsyncIterator[Batch]]:
    async def step(context: Context) -> AsyncIterator[Batch]:
        yield Batch.of(['{"x":0}'])
        raise error

    return step


async def test_a_bug_fails_its_job_and_the_worker_goes_on(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    script(failing(RuntimeError("an inner matter")), rows)
    async with working(settings):
        bad = await until(client, await trigger(client, inbox / "a.csv"), "failed")
        assert "unexpected" in bad["error"]
        assert "inner" not in bad["error"]
        await until(client, await trigger(client, inbox / "a.csv"), "succeeded")


async def test_what_may_pass_is_tried_again_until_it_passes(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    script(failing(SourceError("busy", retryable=True)), failing(SourceError("busy", retryable=True)), rows)
    async with working(settings):
        job = await trigger(client, inbox / "a.csv")
        status = await until(client, job, "succeeded", "failed", "dead")
    assert (status["status"], status["attempt"], status["rows"], status["error"]) == ("succeeded", 3, 2, None)
    assert await query(settings, "SELECT attempt, first, count FROM job_chunks") == [(3, 1, 2)]


async def test_a_job_that_used_up_its_attempts_is_dead_until_it_is_retried(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    made = script(failing(SourceError("busy", retryable=True)))
    async with serving(settings, max_attempts=2) as few, working(settings):
        job = await trigger(few, inbox / "a.csv")
        dead = await until(client, job, "dead", "failed")
        assert (dead["status"], dead["attempt"], dead["error"]) == ("dead", 2, "busy")
        assert is_problem(await client.get(job["result_url"]), 409, "job-dead")
        listed = (await client.get("/api/v1/jobs", params={"status": "dead"})).json()["jobs"]
        assert [each["job_id"] for each in listed] == [job["job_id"]]
        made.steps = [rows]
        assert (await few.post(f"/api/v1/jobs/retry/{job['job_id']}")).status_code == 202
        done = await until(client, job, "succeeded")
    assert (done["attempt"], done["max_attempts"]) == (3, 4)


async def test_the_source_says_when_to_try_again(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    script(failing(SourceError("busy", retryable=True, retry_after_seconds=600)))
    async with working(settings):
        job = await trigger(client, inbox / "a.csv")
        for _ in range(100):
            status = (await client.get(job["status_url"])).json()
            if status["attempt"] and status["status"] == "queued":
                break
            await asyncio.sleep(0.05)
    wait = datetime.fromisoformat(status["due_at"]) - datetime.now(UTC)
    assert 500 < wait.total_seconds() <= 600


async def test_an_attempt_that_takes_too_long_has_failed(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    script(slowly(30), rows)
    async with working(settings, job_seconds=0.3):
        status = await until(client, await trigger(client, inbox / "a.csv"), "succeeded", "failed")
    assert (status["status"], status["attempt"]) == ("succeeded", 2)


async def test_a_running_job_shows_its_progress_and_can_be_cancelled(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    async def attentive(context: Context) -> AsyncIterator[Batch]:
        yield Batch.of(['{"x":0}'])
        context.progress(1, 4)
        while True:
            await asyncio.sleep(0.05)
            context.check()

    script(attentive)
    async with working(settings):
        job = await trigger(client, inbox / "a.csv")
        while not (status := (await client.get(job["status_url"])).json())["progress"]:
            await asyncio.sleep(0.05)
        assert status["progress"] == {"rows": 1, "done": 1, "total": 4}
        assert (await client.post(f"/api/v1/jobs/cancel/{job['job_id']}")).status_code == 202
        await until(client, job, "cancelled")
    assert is_problem(await client.get(job["result_url"]), 409, "job-cancelled")
    assert await query(settings, "SELECT count(*) FROM job_chunks") == [(0,)]


async def test_a_source_that_does_not_listen_is_cancelled_all_the_same(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 0.2)
    script(slowly(60))
    async with working(settings):
        job = await trigger(client, inbox / "a.csv")
        await until(client, job, "running")
        await client.post(f"/api/v1/jobs/cancel/{job['job_id']}")
        await until(client, job, "cancelled")


async def test_a_waiting_job_is_cancelled_at_once_and_an_ended_one_is_not(client: httpx.AsyncClient, inbox: Path) -> None:
    job = await trigger(client, inbox / "a.csv")
    cancel = f"/api/v1/jobs/cancel/{job['job_id']}"
    assert (await client.post(cancel)).json()["status"] == "cancelled"
    assert is_problem(await client.post(cancel), 409, "job-has-ended")
    assert is_problem(await client.post(f"/api/v1/jobs/cancel/{uuid.uuid4()}"), 404, "job-not-found")
    assert (await client.post(f"/api/v1/jobs/retry/{job['job_id']}")).json()["status"] == "queued"
    assert is_problem(await client.post(f"/api/v1/jobs/retry/{job['job_id']}"), 409, "job-not-retryable")


async def test_a_job_that_redis_never_got_is_found(settings: Settings, inbox: Path) -> None:
    (inbox / "a.csv").write_text("x\n1\n")
    async with serving(settings, redis_port=1) as client, working(settings):
        await until(client, await trigger(client, inbox / "a.csv"), "succeeded")


async def test_jobs_that_redis_has_forgotten_are_queued_again(
    client: httpx.AsyncClient, settings: Settings, inbox: Path
) -> None:
    (inbox / "a.csv").write_text("x\n1\n")
    made = [await trigger(client, inbox / "a.csv") for _ in range(5)]
    redis = redis_of(settings)
    await redis.flushall()
    async with working(settings):
        for job in made:
            await until(client, job, "succeeded")
        await redis.flushall()
        await until(client, await trigger(client, inbox / "a.csv"), "succeeded")
    await redis.aclose()


async def test_a_dead_workers_job_is_taken_over_and_its_late_end_does_not_count(
    client: httpx.AsyncClient, settings: Settings, inbox: Path
) -> None:
    (inbox / "a.csv").write_text("x\n1\n")
    job = await trigger(client, inbox / "a.csv")
    engine, number = database.engine(settings, "test", 5), uuid.UUID(job["job_id"])
    claimed = await leases.claim(engine, number, "dead", 1)
    assert claimed is not None
    assert await leases.claim(engine, number, "other", 1) is None, "it is held"
    async with working(settings):
        status = await until(client, job, "succeeded")
    assert (status["rows"], status["attempt"]) == (1, 2)

    async def late() -> AsyncIterator[Batch]:
        yield Batch.of(['{"x":"late"}'])

    with pytest.raises(leases.LeaseLost):
        await leases.succeed(engine, claimed, late(), settings)
    for end in (
        leases.fail(engine, claimed, SourceError("late"), settings),
        leases.fail(engine, claimed, SourceError("late", retryable=True), settings),
        leases.cancelled(engine, claimed, settings),
    ):
        with pytest.raises(leases.LeaseLost):
            await end
    with pytest.raises(leases.LeaseLost):
        await leases.renew(engine, claimed, 1, None)
    await leases.give_back(engine, claimed)
    assert (await client.get(job["result_url"])).json()["rows"] == [{"x": "1"}]
    await engine.dispose()


async def test_a_job_whose_workers_are_always_lost_is_dead_in_the_end(
    client: httpx.AsyncClient, settings: Settings, inbox: Path
) -> None:
    async with serving(settings, max_attempts=1) as few:
        job = await trigger(few, inbox / "a.csv")
    engine = database.engine(settings, "test", 5)
    await leases.claim(engine, uuid.UUID(job["job_id"]), "dead", 1)
    await engine.dispose()
    async with working(settings):
        status = await until(client, job, "dead")
    assert status["error"] == "its worker was lost"


async def test_a_worker_that_lost_its_lease_stops_working_on_the_job(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    made = script(slowly(30), rows)
    async with working(settings) as worker:
        job = await trigger(client, inbox / "a.csv")
        while not made.attempts:
            await asyncio.sleep(0.02)
        await query(settings, "UPDATE jobs SET state = 'queued', published_at = NULL, due_at = now() + interval '1 s'")
        while worker.running:
            await asyncio.sleep(0.05)
        status = await until(client, job, "succeeded")
    assert status["attempt"] == 2


async def test_a_long_job_keeps_its_lease(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    script(slowly(2.5))
    async with working(settings), working(settings):
        status = await until(client, await trigger(client, inbox / "a.csv"), "succeeded")
    assert status["attempt"] == 1, "nobody took it over"
    begun, end = (datetime.fromisoformat(status[name]) for name in ("started_at", "finished_at"))
    assert (end - begun).total_seconds() >= 2.5, "the end is when it ended, not when its transaction began"


async def test_a_worker_has_connections_for_as_many_jobs_as_it_may_run_at_once(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    """Each holds one while it collects."""
    together = asyncio.Barrier(12)

    async def meet(context: Context) -> AsyncIterator[Batch]:
        yield Batch.of(['{"x":0}'])
        await asyncio.wait_for(together.wait(), 10)

    script(meet)
    async with working(settings, worker_concurrency=12, database_pool_size=1):
        jobs = [await trigger(client, inbox / "a.csv") for _ in range(12)]
        ends = [await until(client, job, "succeeded", "failed") for job in jobs]
    assert {(end["status"], end["attempt"]) for end in ends} == {("succeeded", 1)}


@pytest.mark.parametrize(("seconds", "state"), [(0.5, "succeeded"), (30, "queued")], ids=["in time", "too long"])
async def test_a_worker_told_to_stop_finishes_in_time_or_gives_back(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script], seconds: float, state: str
) -> None:
    script(slowly(seconds))
    async with working(settings) as worker:
        job = await trigger(client, inbox / "a.csv")
        await until(client, job, "running")
        worker.stopping.set()
    status = (await client.get(job["status_url"])).json()
    assert status["status"] == state
    assert status["max_attempts"] - status["attempt"] == (4 if state == "succeeded" else 5), "not held against it"
    assert await query(settings, "SELECT count(*) FROM workers") == [(0,)]


async def test_a_worker_stops_although_a_library_has_swallowed_the_word_to_stop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(*_: object) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    monkeypatch.setattr(worker_module.Worker, "keep", deaf)
    deaf_once = deaf_to(RedisStreamBroker.listen)
    monkeypatch.setattr(RedisStreamBroker, "listen", deaf_once)
    async with working(settings):
        await asyncio.sleep(0.5)  # its end waits for the worker's


def deaf_to(listen: Callable[[Any], AsyncIterator[Any]]) -> Callable[[Any], AsyncIterator[Any]]:
    async def listening(broker: Any) -> AsyncIterator[Any]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        async for message in listen(broker):
            yield message

    return listening


async def test_the_worker_waits_for_the_schema_with_a_heartbeat(empty: Settings) -> None:
    async with working(empty) as worker:
        await asyncio.sleep(0.3)
        assert empty.heartbeat_file.exists()
        assert not worker.stopping.is_set()


async def test_a_worker_waits_for_postgresql_and_redis_to_come_back(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, services: Services
) -> None:
    (inbox / "a.csv").write_text("x\n1\n")
    async with working(settings, redis_port=1) as worker:
        await asyncio.sleep(0.5)
        assert not worker.stopping.is_set()
    job = await trigger(client, inbox / "a.csv")
    async with working(settings):
        await until(client, job, "succeeded")


async def test_old_results_are_removed_and_gone(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "EXPIRY_SECONDS", 0.2)
    (inbox / "a.csv").write_text("x\n1\n")
    async with working(settings, result_days=1 / 86400):
        job = await trigger(client, inbox / "a.csv")
        await until(client, job, "succeeded")
        for _ in range(100):
            if (answer := await client.get(job["result_url"])).status_code == 410:
                break
            await asyncio.sleep(0.05)
        assert is_problem(answer, 410, "result-expired")
        assert await query(settings, "SELECT count(*) FROM job_chunks") == [(0,)]
        await query(settings, "UPDATE jobs SET finished_at = now() - interval '400 days'")
        for _ in range(100):
            if (answer := await client.get(job["status_url"])).status_code == 404:
                break
            await asyncio.sleep(0.05)
        assert is_problem(answer, 404, "job-not-found")


async def test_what_postgresql_refuses_fails_the_job(
    client: httpx.AsyncClient, settings: Settings, inbox: Path, script: Callable[..., Script]
) -> None:
    async def nul(context: Context) -> AsyncIterator[Batch]:
        yield Batch.of(['{"x":"\0"}'])

    script(nul)
    async with working(settings):
        assert "PostgreSQL refuses" in (await until(client, await trigger(client, inbox / "a.csv"), "failed"))["error"]
