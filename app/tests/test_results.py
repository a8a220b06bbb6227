"""What comes out: pages, JSON Lines, CSV; lists of jobs; the same request twice."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import query, serving, until, working
from test_api import TRIGGER, file_job, is_problem
from test_jobs import trigger

from collector import fetching
from collector.settings import Settings

pytestmark = pytest.mark.docker


@pytest.fixture
async def result(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> str:
    """1,500 rows, of which the last has a name that no other has."""
    rows: list[dict[str, Any]] = [{"n": n, "text": 'a "b", c\nd'} for n in range(1499)]
    (inbox / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"n": None, "late": {"x": 1}}]))
    async with working(settings):
        job = await trigger(client, inbox / "a.jsonl")
        await until(client, job, "succeeded")
    return str(job["result_url"])


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl"])
async def test_a_result_as_json_lines(client: httpx.AsyncClient, result: str, kind: str) -> None:
    answer = await client.get(result, headers={"Accept": kind})
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"].startswith(kind)
    assert (len(rows), rows[0]["n"], rows[-1]) == (1500, 0, {"n": None, "late": {"x": 1}})


async def test_a_result_as_csv_has_a_column_for_every_name(client: httpx.AsyncClient, result: str) -> None:
    answer = await client.get(result, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert (len(rows), rows[0]) == (1500, {"n": "0", "text": 'a "b", c\nd', "late": ""})
    assert rows[-1] == {"n": "", "text": "", "late": '{"x": 1}'}


async def test_pages_cross_the_chunks(client: httpx.AsyncClient, result: str) -> None:
    page = (await client.get(result, params={"after": 990, "limit": 20})).json()
    assert [row["n"] for row in page["rows"]] == list(range(990, 1010))
    assert (page["next_after"], page["total"]) == (1010, 1500)
    beyond = (await client.get(result, params={"after": 1500})).json()
    assert (beyond["rows"], beyond["next_after"]) == ([], None)


async def test_what_is_not_offered_is_not_acceptable(client: httpx.AsyncClient, result: str) -> None:
    assert is_problem(await client.get(result, headers={"Accept": "image/png"}), 406, "not-acceptable")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0.1, text/*", "text/csv"),
        ("image/png, text/csv;q=1.0;x=y", "text/csv"),
        ("text/csv;q=0, */*", "application/json"),
        ("TEXT/CSV; q=0.9", "text/csv"),
        ("text/csv;q=1.2.3", "text/csv"),
    ],
)
def test_accept_chooses(accept: str | None, kind: str) -> None:
    assert fetching.chosen(accept) == kind


async def test_jobs_are_listed_newest_first_and_by_page(client: httpx.AsyncClient, inbox: Path) -> None:
    made = [(await trigger(client, inbox / "a.csv"))["job_id"] for _ in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        parameters = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/v1/jobs", params=parameters)).json()
        seen, cursor = [*seen, *(job["job_id"] for job in page["jobs"])], page["next_cursor"]
    assert (seen, cursor) == (made[::-1], None)


async def test_a_list_is_filtered(client: httpx.AsyncClient, inbox: Path) -> None:
    first, second = await trigger(client, inbox / "a.csv"), await trigger(client, inbox / "a.csv")
    await client.post(f"/api/v1/jobs/cancel/{first['job_id']}")
    moment = (await client.get(second["status_url"])).json()["created_at"]

    async def listed(**parameters: str) -> list[str]:
        answer = await client.get("/api/v1/jobs", params=parameters)
        return [job["job_id"] for job in answer.json()["jobs"]]

    assert await listed(status="cancelled") == [first["job_id"]]
    assert await listed(source_type="api") == []
    assert await listed(created_after=moment) == [second["job_id"]]
    assert await listed(created_before=moment) == [first["job_id"]]


@pytest.mark.parametrize(
    "parameters",
    [
        {"cursor": "x"}, {"cursor": "W10="}, {"cursor": "ä"}, {"cursor": "WyIyMDI2LTAxLTAxIiwgIngiXQ=="}, {"status": "odd"},
        {"limit": "0"}, {"limit": "501"}, {"created_after": "yesterday"}, {"created_before": "2026-01-01T00:00:00"},
        {"created_after": "0.5"},
    ],
)  # fmt: skip
async def test_a_wrong_question_for_jobs_is_refused(client: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    assert is_problem(await client.get("/api/v1/jobs", params=parameters), 422, "invalid-request")


async def test_the_same_idempotency_key_gives_the_same_job(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    async def asked(name: str, **headers: str) -> httpx.Response:
        return await client.post(TRIGGER, json=file_job(inbox / name), headers={"Idempotency-Key": "once", **headers})

    first, second = await asked("a.csv"), await asked("a.csv")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert is_problem(await asked("b.csv"), 422, "idempotency-key-reused")
    async with serving(settings, authentication="off") as other:
        answer = await other.post(TRIGGER, json=file_job(inbox / "a.csv"), headers={"Idempotency-Key": "once"})
        assert answer.json()["job_id"] != first.json()["job_id"], "another caller's key is another"
    assert await query(settings, "SELECT count(*) FROM jobs") == [(2,)]


async def test_a_request_that_is_too_large_is_refused(client: httpx.AsyncClient, settings: Settings) -> None:
    async def drip() -> Any:
        for _ in range(40):
            yield b" " * 32768

    assert is_problem(await client.post(TRIGGER, content=b" " * (2**20 + 1)), 413, "request-too-large")
    assert is_problem(await client.post(TRIGGER, content=drip()), 413, "request-too-large")
