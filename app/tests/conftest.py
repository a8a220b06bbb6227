"""PostgreSQL and Redis from our own images, on random loopback ports, once a run; a clean database for each test."""

import asyncio
import re
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import schemathesis
from redis.asyncio import Redis
from sqlalchemy import text

from collector import broker, database, logs, migrate
from collector.api import create_app
from collector.contract import document
from collector.settings import Settings
from collector.worker import Worker, connections

ADMIN_KEY = "the-key-of-the-administrator-0123456789"
BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
PASSWORD = 'it\'s "quoted" \\ and $HOME'


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


logs.configure("warning", service="test")


@dataclass(frozen=True)
class Services:
    postgres: str
    redis: str
    postgres_port: int
    redis_port: int
    password_file: Path
    key_file: Path


def start(image: str, port: int, secret: Path, name: str, *options: str) -> str:
    published = [f"--publish=127.0.0.1::{port}"] if port else []
    return docker(
        "run", "--detach", "--label=collector-test", *published, "--read-only", "--cap-drop=ALL",
        f"--volume={secret}:/run/secrets/{name}:ro", "--tmpfs=/tmp", *options, image,
    )  # fmt: skip


def published(container: str, port: int) -> int:
    return int(docker("port", container, str(port)).splitlines()[0].rpartition(":")[2])


def wait_until_well(container: str, *check: str) -> None:
    for _ in range(150):
        if subprocess.run(["docker", "exec", container, *check], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(docker("logs", container))


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    yield from backing_services(tmp_path_factory.mktemp("secrets"))


def backing_services(folder: Path, kept: bool = False) -> Iterator[Services]:
    """PostgreSQL, in memory unless its data are `kept` in a volume, and Redis."""
    secret, key = folder / "password", folder / "admin_api_key"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o444)
    key.write_text(ADMIN_KEY)
    started = []
    try:
        data = "uid=999,gid=999,mode=0700"
        where = [] if kept else [f"--tmpfs=/var/lib/postgresql/data:{data}"]
        socket = f"--tmpfs=/run/postgresql:{data}"
        started.append(start("collector/postgres:17", 5432, secret, "postgres_password", *where, socket))
        started.append(start("collector/redis:8", 6379, secret, "redis_password", f"--tmpfs=/var/lib/redis:{data}"))
        postgres, redis = started
        wait_until_well(redis, "redis-cli", "-e", "--user", "health", "--pass", "none", "ping")
        wait_until_well(postgres, "pg_isready", "--host=127.0.0.1", "--username=postgres")
        docker("exec", postgres, "psql", "-qU", "postgres", "-c", "ALTER ROLE collector CREATEDB")
        yield Services(postgres, redis, published(postgres, 5432), published(redis, 6379), secret, key)
    finally:
        for container in started:
            docker("rm", "--force", "--volumes", container)


async def administer(services: Services, statement: str) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=services.postgres_port, user="collector", password=PASSWORD, database="collector"
    )
    await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def empty(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    """Settings for a database without a schema and an empty Redis."""
    monkeypatch.setattr(broker, "BLOCK_MS", 100)
    name = f"t{uuid.uuid4().hex}"
    await administer(services, f"CREATE DATABASE {name}")
    (tmp_path / "inbox").mkdir()
    settings = Settings(
        version="9.9.9",
        database_host="127.0.0.1", database_port=services.postgres_port, database_name=name,
        database_password_file=services.password_file,
        redis_host="127.0.0.1", redis_port=services.redis_port, redis_password_file=services.password_file,
        database_wait_seconds=0, dependency_timeout_seconds=1, lock_timeout_ms=300, drain_seconds=1, lease_seconds=1,
        heartbeat_file=tmp_path / "alive", folders=(tmp_path / "inbox",), max_rows=2000, worker_metrics_port=0,
        admin_api_key_file=services.key_file, key_cache_seconds=0, retry_seconds=0.2, linger_seconds=0.2,
        source_secrets=tmp_path,
    )  # fmt: skip
    yield settings
    redis = redis_of(settings)
    await redis.flushall()
    await redis.aclose()
    await administer(services, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def settings(empty: Settings) -> Settings:
    await migrate.upgrade_with(empty)
    return empty


@pytest.fixture
def inbox(empty: Settings) -> Path:
    return empty.folders[0]


def redis_of(settings: Settings) -> Redis:
    return Redis(host="127.0.0.1", port=settings.redis_port, password=settings.redis_password.get_secret_value())


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings(**{**settings.model_dump(), **changes})


@cache
def description() -> dict[re.Pattern[str], Any]:
    """The operations by the paths that they are for."""
    schema = schemathesis.openapi.from_dict(document(create_app(Settings())))
    return {re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): schema[path] for path in schema}


async def matches(answer: httpx.Response) -> None:
    """Every answer that any test gets is as OpenAPI says; but for those of our bugs, which it does not describe."""
    await answer.aread()
    method, path = answer.request.method, answer.request.url.path
    for pattern, operations in description().items():
        streamed = not isinstance(answer.request.stream, httpx.ByteStream)
        if pattern.fullmatch(path) and method in list(operations) and answer.status_code != 500 and not streamed:
            operations[method].validate_response(answer)


@asynccontextmanager
async def serving(settings: Settings, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(changed(settings, **changes))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://api", headers=BEARER, event_hooks={"response": [matches]}
        ) as client,
    ):
        yield client


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        yield client


@asynccontextmanager
async def working(settings: Settings, **changes: Any) -> AsyncIterator[Worker]:
    """A worker in this process."""
    settings, name = changed(settings, **changes), f"test-{uuid.uuid4().hex[:6]}"
    engine, queue = connections(settings), broker.make(settings, name)
    worker = Worker(settings, engine, queue, name, asyncio.Event())
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stopping.set()
        await asyncio.wait_for(task, 15)
        await queue.shutdown()
        await engine.dispose()


async def until(client: httpx.AsyncClient, job: dict[str, Any], *states: str, seconds: float = 40) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (status := (await client.get(job["status_url"])).json())["status"] not in states:
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.03)
    found: dict[str, Any] = status
    return found


async def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    engine = database.engine(settings, "test", 5)
    async with engine.begin() as connection:
        found = await connection.execute(text(statement))
        rows = [tuple(row) for row in found] if found.returns_rows else []
    await engine.dispose()
    return rows
