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
from test_processes import COLLECTOR, environment, free_port

from collector import database, healthcheck, keys, lookups
from collector.auth import STRANGER_BURST, Bucket, Gate
from collector.problems import Problem
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


async def test_who_guesses_keys_is_slowed_down_and_nobody_else(settings: Settings, engine: AsyncEngine) -> None:
    known, unused = [await keys.make(engine, name, ["jobs:read"], None) for name in ("crm", "new")]
    asked = await lookups.connect(settings, "collector-test", 5)
    gate = Gate(changed(settings, unknown_keys_per_second=0.001), asked)

    async def outcome(key: str, address: str) -> int | str:
        try:
            return (await gate.admit(key, "jobs:read", address)).name
        except Problem as problem:
            return problem.status.value

    assert await outcome(known, "10.0.0.1") == "crm"
    guesses = [await outcome(f"guess{number}", "10.0.0.1") for number in range(STRANGER_BURST)]
    assert guesses == [401] * (STRANGER_BURST - 1) + [429]
    assert await outcome(unused, "10.0.0.1") == 429, "nobody can tell it from a guess"
    assert [await outcome(key, "10.0.0.1") for key in (known, ADMIN_KEY)] == ["crm", "admin"]
    assert [await outcome(key, "10.0.0.2") for key in ("guess", unused)] == [401, "new"]
    assert await outcome(unused, "10.0.0.1") == "new", "it has been valid"
    asked.close()


async def test_strangers_are_told_apart_by_the_address_that_nginx_gives(settings: Settings) -> None:
    port = free_port()
    variables = environment(settings, COLLECTOR_LISTEN_PORT=str(port), COLLECTOR_UNKNOWN_KEYS_PER_SECOND="0.001")
    api = subprocess.Popen([*COLLECTOR, "api"], env=variables, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if await asyncio.to_thread(healthcheck.api, port, "/health/ready") is None:
                break
            await asyncio.sleep(0.1)
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=elsewhere) as client:

            async def guess(number: int, address: str) -> int:
                headers = {**bearer(f"guess{number}"), "X-Forwarded-For": address}
                return (await client.get(NOBODY, headers=headers)).status_code

            assert [await guess(number, "10.0.0.1") for number in range(STRANGER_BURST)] == [401] * STRANGER_BURST
            assert [await guess(STRANGER_BURST, address) for address in ("10.0.0.1", "10.0.0.2")] == [429, 401]
    finally:
        api.terminate()
        await asyncio.to_thread(api.wait, 15)


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
