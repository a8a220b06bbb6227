"""Jobs while everything below them breaks: workers killed, Redis losing its memory, PostgreSQL restarted, the API replaced.

`make test` sends 150 jobs, `pytest -m full` 1,000. A trigger in PostgreSQL counts every change of a job into an end.
"""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from conftest import ADMIN_KEY, BEARER, PASSWORD, docker, query, start, wait_until_well
from test_processes import COLLECTOR, environment, free_port

from collector import migrate
from collector.settings import Settings

pytestmark = pytest.mark.docker
COUNT_ENDS = [
    "CREATE TABLE ends (job_id uuid, state text)",
    """CREATE FUNCTION count_end() RETURNS trigger LANGUAGE plpgsql AS
       $$BEGIN INSERT INTO ends VALUES (NEW.id, NEW.state); RETURN NULL; END$$""",
    """CREATE TRIGGER ended AFTER UPDATE ON jobs FOR EACH ROW
       WHEN (NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled') AND OLD.state <> NEW.state)
       EXECUTE FUNCTION count_end()""",
]
ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n[{"n": 1}, {"n": 2}]'
)


@dataclass
class Stage:
    settings: Settings
    postgres: str
    redis: str
    source: str
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    api_port: int = 0
    kills: int = 0

    def run(self, verb: str, **more: str) -> "subprocess.Popen[bytes]":
        folder = self.settings.heartbeat_file.parent
        variables = environment(
            self.settings, COLLECTOR_LEASE_SECONDS="4", COLLECTOR_MAX_ATTEMPTS="30", COLLECTOR_WORKER_METRICS_PORT="0",
            COLLECTOR_ADMIN_API_KEY_FILE=str(folder / "key"), COLLECTOR_LINGER_SECONDS="1", COLLECTOR_RETRY_SECONDS="0.5",
            COLLECTOR_SOURCE_NETWORKS='["127.0.0.0/8"]', COLLECTOR_LOG_LEVEL="warning", **more,
        )  # fmt: skip
        with (folder / f"{verb}.log").open("ab") as log:
            made = subprocess.Popen([*COLLECTOR, verb], env=variables, stderr=log)
        self.processes.append(made)
        return made

    async def serve(self) -> "subprocess.Popen[bytes]":
        """A new API, which requests go to from when it is ready."""
        port = free_port()
        made = self.run("api", COLLECTOR_LISTEN_PORT=str(port))
        async with httpx.AsyncClient() as client:
            for _ in range(300):
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        self.api_port = port
        return made


def backing(folder: Path) -> Iterator[tuple[str, str, int, int]]:
    """PostgreSQL that keeps its data over a restart, and Redis that does not, on ports that stay."""
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o444)
    ports, started = [free_port(), free_port()], []
    data = "uid=999,gid=999,mode=0700"
    kept = [f"--publish=127.0.0.1:{ports[0]}:5432", f"--tmpfs=/run/postgresql:{data}"]
    lost = [f"--publish=127.0.0.1:{ports[1]}:6379", f"--tmpfs=/var/lib/redis:{data}"]
    try:
        started.append(start("collector/postgres:17", 0, secret, "postgres_password", *kept))
        started.append(start("collector/redis:8", 0, secret, "redis_password", *lost))
        wait_until_well(started[0], "pg_isready", "--host=127.0.0.1", "--username=postgres")
        wait_until_well(started[1], "redis-cli", "-e", "--user", "health", "--pass", "none", "ping")
        yield started[0], started[1], *ports
    finally:
        for container in started:
            docker("rm", "--force", "--volumes", container)


async def slow_source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        writer.write(ANSWER)
        await writer.drain()
    writer.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "key").write_text(ADMIN_KEY)
    source = await asyncio.start_server(slow_source, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{source.sockets[0].getsockname()[1]}/rows"
    with contextlib.contextmanager(backing)(tmp_path) as (postgres, redis, postgres_port, redis_port):
        settings = Settings(
            database_host="127.0.0.1", database_port=postgres_port, database_password_file=tmp_path / "password",
            redis_host="127.0.0.1", redis_port=redis_port, redis_password_file=tmp_path / "password",
            heartbeat_file=tmp_path / "alive", database_wait_seconds=20,
        )  # fmt: skip
        await migrate.upgrade_with(settings)
        for statement in COUNT_ENDS:
            await query(settings, statement)
        stage = Stage(settings, postgres, redis, url)
        yield stage
        for process in stage.processes:
            process.kill()
            process.wait()
        source.close()


async def order(stage: Stage, number: int) -> str:
    """A job, asked for until somebody has accepted it: always with the same idempotency key."""
    body = {"source_type": "api", "config": {"url": stage.source}}
    for _ in range(300):
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stage.api_port}", headers=BEARER, timeout=15) as client:
                answer = await client.post("/api/v1/jobs/trigger", json=body, headers={"Idempotency-Key": f"job-{number}"})
            if answer.status_code == 202:
                return str(answer.json()["job_id"])
            assert answer.status_code in (429, 503), answer.text
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError("nobody accepts jobs any more")


async def kill_workers(stage: Stage, workers: list["subprocess.Popen[bytes]"]) -> None:
    """Every second one of at least four that work, and another replaces it: a slow machine needs seconds until four work."""
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(Exception):  # PostgreSQL may be starting
            beating = {int(name.rpartition("-")[2]) for (name,) in await query(stage.settings, "SELECT name FROM workers")}
            ready = [number for number, worker in enumerate(workers) if worker.pid in beating]
            if len(ready) >= 4:
                workers[ready[0]].send_signal(signal.SIGKILL)
                workers.pop(ready[0]).wait()
                workers.append(stage.run("worker"))
                stage.kills += 1


async def break_things(stage: Stage, api: "subprocess.Popen[bytes]") -> None:
    await asyncio.sleep(3)
    await asyncio.to_thread(docker, "restart", "--timeout=0", stage.redis)
    await asyncio.sleep(3)
    await asyncio.to_thread(docker, "restart", stage.postgres)
    await asyncio.sleep(3)
    await stage.serve()
    api.send_signal(signal.SIGTERM)
    await asyncio.to_thread(api.wait, 40)


async def wait_for_ends(stage: Stage, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # PostgreSQL may be starting
            if await query(stage.settings, "SELECT count(DISTINCT job_id) FROM ends") == [(count,)]:
                return
        await asyncio.sleep(0.5)
    left = await query(stage.settings, "SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2")
    raise AssertionError(f"not all have ended: {left}")


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.full)])
async def test_every_accepted_job_ends_once(stage: Stage, count: int) -> None:
    begun = time.monotonic()
    workers = [stage.run("worker") for _ in range(5)]
    api = await stage.serve()
    killer = asyncio.create_task(kill_workers(stage, workers))
    breaker = asyncio.create_task(break_things(stage, api))
    jobs: list[str] = []
    for batch in tens(count):
        jobs += await asyncio.gather(*(order(stage, number) for number in batch))
        await asyncio.sleep(0 if count > 500 else 0.5)
    await breaker
    await wait_for_ends(stage, count, 300)
    killer.cancel()
    assert stage.kills
    assert len(set(jobs)) == count
    assert await query(stage.settings, "SELECT state, count(*), count(DISTINCT job_id) FROM ends GROUP BY 1") == [
        ("succeeded", count, count)
    ]
    assert await query(stage.settings, "SELECT count(*), count(DISTINCT job_id), sum(count) FROM job_chunks") == [
        (count, count, 2 * count)
    ]
    attempts = await query(stage.settings, "SELECT sum(attempt), max(attempt) FROM jobs")
    seconds = time.monotonic() - begun
    print(f"{count} jobs, {attempts[0][0]} attempts, at most {attempts[0][1]}, {stage.kills} workers killed, {seconds:.0f} s")  # noqa: T201


def tens(count: int) -> Iterator[range]:
    return (range(first, min(first + 10, count)) for first in range(0, count, 10))


@pytest.mark.parametrize("part", ["postgres", "redis"])
async def test_a_part_that_hangs_is_told_and_nothing_else_hangs(stage: Stage, part: str) -> None:
    await stage.serve()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stage.api_port}", headers=BEARER, timeout=30) as client:
        job = (await client.post("/api/v1/jobs/trigger", json={"source_type": "api", "config": {"url": stage.source}})).json()
        docker("pause", getattr(stage, part))
        try:
            begun = time.monotonic()
            health = await client.get("/health")
            assert time.monotonic() - begun < 5
            assert (health.status_code, health.json()["parts"][part]["status"]) == (503, "ill")
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/metrics")).status_code == 200
            begun = time.monotonic()
            answers = await asyncio.gather(*(client.get(job["status_url"]) for _ in range(20)))
            assert {answer.status_code for answer in answers} == ({200} if part == "redis" else {503})
            again = await client.post("/api/v1/jobs/trigger", json={"source_type": "api", "config": {"url": stage.source}})
            assert again.status_code == (202 if part == "redis" else 503)
            assert time.monotonic() - begun < 40
        finally:
            docker("unpause", getattr(stage, part))
        for _ in range(100):
            if (await client.get("/health/ready")).status_code == 200:
                break
            await asyncio.sleep(0.2)
        assert (await client.get(job["status_url"])).status_code == 200
