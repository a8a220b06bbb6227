"""Who may: keys, scopes, limits; and what is written down about it."""

import asyncio
import subprocess
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from conftest import ADMIN_KEY, changed, query, serving
from sqlalchemy.ext.asyncio import AsyncEngine
from test_api import TRIGGER, file_job, is_problem
from test_processes import COLLECTOR, environment

from collector import database, keys
from collector.auth import Bucket
from collector.settings import Settings

pytestmark = pytest.mark.docker
NOBODY = f"/api/v1/jobs/status/{uuid.UUID(int=0)}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = database.engine(settings, "test", 5)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Authorization": ""}, "key-missing"),
        ({"Authorization": "Basic eDp5"}, "key-missing"),
        ({"Authorization": "Bearer wrong"}, "key-unknown"),
        ({"Authorization": "", "X-API-Key": "wrong"}, "key-unknown"),
    ],
)
async def test_without_a_valid_key_nobody_gets_in(client: httpx.AsyncClient, headers: dict[str, str], kind: str) -> None:
    answer = await client.get(NOBODY, headers=headers)
    assert is_problem(answer, 401, kind)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_health_asks_for_no_key(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/openapi.json"):
        assert (await client.get(path, headers={"Authorization": ""})).status_code == 200


async def test_a_key_may_what_its_scopes_say(client: httpx.AsyncClient, engine: AsyncEngine, inbox: Path) -> None:
    key = await keys.make(engine, "reader", ["jobs:read"], None)
    assert is_problem(await client.get(NOBODY, headers=bearer(key)), 404, "job-not-found")
    assert is_problem(await client.get(NOBODY.replace("status", "result"), headers=bearer(key)), 403, "scope-missing")
    refused = await client.post(TRIGGER, json=file_job(inbox / "a.csv"), headers={"X-API-Key": key, "Authorization": ""})
    assert is_problem(refused, 403, "scope-missing")


async def test_a_key_rotates_and_is_revoked(client: httpx.AsyncClient, engine: AsyncEngine, settings: Settings) -> None:
    old = await keys.make(engine, "crm", ["jobs:read"], 30)
    new = await keys.rotate(engine, "crm", 1, None)
    for key in (old, new):
        assert (await client.get(NOBODY, headers=bearer(key))).status_code == 404
    newest = await keys.rotate(engine, "crm", 0, None)
    assert [(await client.get(NOBODY, headers=bearer(key))).status_code for key in (old, new, newest)] == [401, 401, 404]
    assert await keys.revoke(engine, "crm") == 1
    assert is_problem(await client.get(NOBODY, headers=bearer(newest)), 401, "key-unknown")
    stored = str(await query(settings, "SELECT * FROM api_keys"))
    assert not any(key in stored for key in (old, new, newest))
    actions = [action for (action,) in await query(settings, "SELECT action FROM audit_log ORDER BY id")]
    assert actions == ["key-make", "key-rotate", "key-rotate", "key-revoke"]


@pytest.mark.parametrize(
    ("made_for", "rotated_for", "ends_after"), [(30, None, 30), (30, 7, 7), (30, 0, None), (None, None, None), (None, 7, 7)]
)
async def test_a_rotated_key_lasts_as_long_as_the_old_one_or_as_asked(
    engine: AsyncEngine, made_for: float | None, rotated_for: float | None, ends_after: float | None
) -> None:
    await keys.make(engine, "crm", ["jobs:read"], made_for)
    await keys.rotate(engine, "crm", 24, rotated_for)
    await keys.rotate(engine, "crm", 1, rotated_for)
    moments = ("created_at", "expires_at")
    times = [[each[name] and datetime.fromisoformat(each[name]) for name in moments] for each in await keys.listed(engine)]
    lives = [ends and ends - begun for begun, ends in times]
    assert lives[-1] == (timedelta(days=ends_after) if ends_after else None)
    assert all(life <= timedelta(hours=1, minutes=1) for life in lives[:-1]), "the old ones end, however long they were to last"


async def test_a_key_is_known_for_some_seconds_without_asking_again(settings: Settings, engine: AsyncEngine) -> None:
    key = await keys.make(engine, "crm", ["jobs:read"], None)
    async with serving(settings, key_cache_seconds=0.5) as client:
        assert (await client.get(NOBODY, headers=bearer(key))).status_code == 404
        await keys.revoke(engine, "crm")
        assert (await client.get(NOBODY, headers=bearer(key))).status_code == 404
        await asyncio.sleep(0.5)
        assert (await client.get(NOBODY, headers=bearer(key))).status_code == 401


async def test_too_many_requests_are_refused_for_that_key_only(settings: Settings, engine: AsyncEngine) -> None:
    other = await keys.make(engine, "other", ["jobs:read"], None)
    async with serving(settings, rate_limit_per_second=0.1, rate_limit_burst=3) as client:
        answers = [await client.get(NOBODY) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        assert is_problem(answers[-1], 429, "too-many-requests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 11
        assert (await client.get(NOBODY, headers=bearer(other))).status_code == 404
    async with serving(settings, rate_limit_per_second=0, rate_limit_burst=1) as client:
        assert [(await client.get(NOBODY)).status_code for _ in range(3)] == [404] * 3


def test_a_bucket_fills_up_again() -> None:
    bucket = Bucket(2, 1)
    start = bucket.at
    assert bucket.take(start) == 0
    assert bucket.take(start) == pytest.approx(0.5)
    assert bucket.take(start + 1) == 0


async def test_authentication_is_off_only_when_the_settings_say_so(settings: Settings, inbox: Path) -> None:
    async with serving(settings, authentication="off") as client:
        answer = await client.post(TRIGGER, json=file_job(inbox / "a.csv"), headers={"Authorization": ""})
        assert answer.status_code == 202
    assert await query(settings, "SELECT actor, action FROM audit_log") == [("anonymous", "trigger")]


async def test_the_audit_log_names_the_key_and_the_request(client: httpx.AsyncClient, settings: Settings, inbox: Path) -> None:
    job = (await client.post(TRIGGER, json=file_job(inbox / "a.csv"), headers={"X-Request-Id": "r1"})).json()["job_id"]
    await client.post(f"/api/v1/jobs/cancel/{job}", headers={"X-Request-Id": "r2"})
    await client.post(f"/api/v1/jobs/retry/{job}", headers={"X-Request-Id": "r3"})
    lines = await query(settings, "SELECT actor, action, subject, request_id FROM audit_log ORDER BY id")
    assert lines == [("admin", "trigger", job, "r1"), ("admin", "cancel", job, "r2"), ("admin", "retry", job, "r3")]


def run(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*COLLECTOR, "keys", *words]
    return subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False)


async def test_keys_are_managed_by_the_command(settings: Settings, client: httpx.AsyncClient) -> None:
    made = await asyncio.to_thread(run, settings, "make", "crm", "--scope", "jobs:read")
    key = made.stdout.strip()
    assert key.startswith("ck_")
    assert (await client.get(NOBODY, headers=bearer(key))).status_code == 404
    again = await asyncio.to_thread(run, settings, "make", "crm")
    assert (again.returncode, again.stderr) == (1, "collector: there is a key named 'crm': rotate it, or revoke it first\n")
    for name in ("admin", "anonymous"):
        assert "choose another name" in (await asyncio.to_thread(run, settings, "make", name)).stderr
    rotated = (await asyncio.to_thread(run, settings, "rotate", "crm")).stdout.strip()
    listed = (await asyncio.to_thread(run, settings, "list")).stdout
    assert listed.count('"crm"') == 2
    assert key not in listed
    assert rotated not in listed
    await asyncio.to_thread(run, settings, "revoke", "crm")
    for verb in ("revoke", "rotate"):
        assert "no valid key" in (await asyncio.to_thread(run, settings, verb, "crm")).stderr


def test_a_short_administrators_key_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("0123")
    variables = environment(settings, COLLECTOR_ADMIN_API_KEY_FILE=str(tmp_path / "short"))
    done = subprocess.run([*COLLECTOR, "api"], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "COLLECTOR_ADMIN_API_KEY_FILE" in done.stderr
    assert changed(settings, admin_api_key_file=None).admin_key_digest is None
    assert ADMIN_KEY not in repr(settings)
