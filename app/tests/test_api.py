"""Every endpoint, good and bad, against a real PostgreSQL and a real Redis."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import query, redis_of, serving

from collector import jobs
from collector.settings import Settings

pytestmark = pytest.mark.docker
TRIGGER = "/api/v1/jobs/trigger"


def file_job(path: object, **config: Any) -> dict[str, Any]:
    return {"source_type": "file", "config": {"path": str(path), **config}}


def is_problem(answer: httpx.Response, status: int, kind: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["status"], body["instance"]) == (status, status, answer.request.url.path)
    return bool(body["type"] == f"urn:collector:problem:{kind}" and body["detail"])


async def test_health_asks_both_parts_and_says_the_version(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["version"]) == (200, "ok", "9.9.9")
    assert set(body["parts"]) == {"postgres", "redis", "queue"}
    assert all(part["status"] == "ok" and part["ms"] > 0 for part in body["parts"].values())


async def test_live_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200
    ready = await client.get("/health/ready")
    assert (ready.status_code, set(ready.json()["parts"])) == (200, {"postgres", "redis", "schema"})


@pytest.mark.parametrize(("setting", "part"), [("database_port", "postgres"), ("redis_port", "redis")])
async def test_health_is_503_when_a_part_refuses(settings: Settings, setting: str, part: str) -> None:
    async with serving(settings, **{setting: 1}) as client:
        answer = await client.get("/health")
        assert answer.status_code == 503
        assert {name: each["status"] for name, each in answer.json()["parts"].items() if name == part} == {part: "ill"}
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize(("setting", "part"), [("database_port", "postgres"), ("redis_port", "redis")])
async def test_health_answers_in_time_when_a_part_hangs(settings: Settings, setting: str, part: str) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with serving(settings, **{setting: port}, dependency_timeout_seconds=0.2) as client:
        answer = await asyncio.wait_for(client.get("/health"), 2)
        assert answer.status_code == 503
        assert answer.json()["parts"][part]["error"] == "no answer within 0.2 s"
    server.close()


async def test_connections_that_died_unseen_are_no_reason_to_be_ill(client: httpx.AsyncClient, settings: Settings) -> None:
    """As after a restart of PostgreSQL and Redis: the first answer is the truth already."""
    nobody = f"/api/v1/jobs/status/{uuid.uuid4()}"
    for path, status in (("/health", 200), ("/health/ready", 200), (nobody, 404), ("/metrics", 200)):
        assert (await client.get("/health")).status_code == 200
        await query(
            settings, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'collector-%'"
        )
        redis = redis_of(settings)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await redis.aclose()
        answer = await client.get(path)
        assert answer.status_code == status, answer.text


async def test_not_ready_and_503_until_the_schema_is_there(empty: Settings) -> None:
    async with serving(empty) as client:
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert "collector db upgrade" in ready.json()["parts"]["schema"]["error"]
        answer = await client.get(f"/api/v1/jobs/status/{uuid.uuid4()}")
        assert is_problem(answer, 503, "database-unavailable")
        assert answer.headers["retry-after"] == "5"


async def test_migrate_on_start_makes_it_ready(empty: Settings) -> None:
    async with serving(empty, migrate_on_start=True) as client:
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_job_is_accepted_and_waits(client: httpx.AsyncClient, inbox: Path) -> None:
    answer = await client.post(TRIGGER, json=file_job(inbox / "a.csv"))
    body = answer.json()
    assert (answer.status_code, body["status"], answer.headers["location"]) == (202, "queued", body["status_url"])
    status = (await client.get(body["status_url"])).json()
    assert (status["job_id"], status["status"], status["source_type"]) == (body["job_id"], "queued", "file")
    assert is_problem(await client.get(body["result_url"]), 409, "job-not-finished")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"source_type": "smoke", "config": {}}, 422, "invalid-request"),
        ({"config": {}}, 422, "invalid-request"),
        ({"source_type": "file", "config": {}}, 422, "invalid-request"),
        ({"source_type": "file", "config": {"path": 1}}, 422, "invalid-request"),
        (file_job("relative.csv"), 422, "invalid-request"),
        (file_job("/data/inbox/../x.csv"), 422, "invalid-request"),
        (file_job("/data//x.csv"), 422, "invalid-request"),
        (file_job("/a\0b"), 422, "invalid-request"),
        (file_job("/" + "x" * 4096), 422, "invalid-request"),
        (file_job("/x.csv", format="xml"), 422, "invalid-request"),
        (file_job("/x.csv", colour="red"), 422, "invalid-request"),
        ({**file_job("/x.csv"), "more": 1}, 422, "invalid-request"),
        ([], 422, "invalid-request"),
    ],
)
async def test_a_bad_job_is_refused(client: httpx.AsyncClient, body: Any, status: int, kind: str) -> None:
    assert is_problem(await client.post(TRIGGER, json=body), status, kind)


async def test_what_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    assert is_problem(await client.post(TRIGGER, content=b"{", headers=headers), 422, "invalid-request")


@pytest.mark.parametrize("what", ["status", "result"])
async def test_an_unknown_job(client: httpx.AsyncClient, what: str) -> None:
    assert is_problem(await client.get(f"/api/v1/jobs/{what}/{uuid.uuid4()}"), 404, "job-not-found")
    assert is_problem(await client.get(f"/api/v1/jobs/{what}/7"), 422, "invalid-request")


async def test_an_unknown_page_and_a_wrong_method(client: httpx.AsyncClient) -> None:
    assert is_problem(await client.get("/nothing"), 404, "not-found")
    wrong = await client.get(TRIGGER)
    assert is_problem(wrong, 405, "method-not-allowed")
    assert wrong.headers["allow"] == "POST"


async def test_without_redis_a_job_is_accepted_all_the_same(settings: Settings, inbox: Path) -> None:
    async with serving(settings, redis_port=1) as client:
        assert (await client.post(TRIGGER, json=file_job(inbox / "a.csv"))).status_code == 202


async def test_without_postgresql_nothing_is_accepted(settings: Settings, inbox: Path) -> None:
    async with serving(settings, database_port=1) as client:
        assert is_problem(await client.post(TRIGGER, json=file_job(inbox / "a.csv")), 503, "database-unavailable")


async def test_a_bug_shows_no_inner_matters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("an inner matter")

    monkeypatch.setattr(jobs, "get", broken)
    async with serving(settings) as client:
        answer = await client.get(f"/api/v1/jobs/status/{uuid.uuid4()}")
        assert is_problem(answer, 500, "unexpected")
        assert "inner" not in answer.text


async def test_the_request_id_comes_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live", headers={"X-Request-Id": "abc"})).headers["x-request-id"] == "abc"
    assert len((await client.get("/health/live")).headers["x-request-id"]) == 32
