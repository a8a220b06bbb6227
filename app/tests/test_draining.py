"""How the API stops: nobody who asks in time goes without an answer, and every connection is told to close."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from conftest import ADMIN_KEY, serving
from sqlalchemy.ext.asyncio import AsyncEngine
from test_api import is_problem
from test_processes import COLLECTOR, environment, free_port

from collector import database, healthcheck, jobs
from collector.settings import Settings

pytestmark = pytest.mark.docker
LINGER = 1.5


@dataclass
class Api:
    port: int
    process: "subprocess.Popen[bytes]"
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str = "/health/live") -> bytes:
        """One request over a connection of its own or a kept one; the head of the answer."""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        return head.lower()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(made[1])
        return made


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    port = free_port()
    variables = environment(
        settings, COLLECTOR_LISTEN_PORT=str(port), COLLECTOR_LINGER_SECONDS=str(LINGER), COLLECTOR_LOG_LEVEL="error",
        COLLECTOR_ADMIN_API_KEY_FILE=str(settings.admin_api_key_file),
    )  # fmt: skip
    made = Api(port, subprocess.Popen([*COLLECTOR, "api"], env=variables))
    for _ in range(200):
        if await asyncio.to_thread(healthcheck.api, port, "/health/ready") is None:
            break
        await asyncio.sleep(0.1)
    yield made
    for writer in made.writers:
        writer.close()
    made.process.kill()
    made.process.wait()


async def test_after_sigterm_requests_are_answered_and_connections_told_to_close(api: Api) -> None:
    kept, idle = await api.connect(), await api.connect()
    for connection in (kept, idle):
        assert b"connection: close" not in await api.ask(*connection)
    begun = time.monotonic()
    api.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert b"connection: close" in await api.ask(*kept)
    assert await asyncio.wait_for(kept[0].read(), 1) == b""
    assert b"503" in await api.ask(*await api.connect(), "/health/ready"), "new callers are served, but sent elsewhere"
    assert await asyncio.wait_for(idle[0].read(), LINGER + 2) == b"", "an idle connection is closed in the end"
    assert await asyncio.to_thread(api.process.wait, 10) in (0, -signal.SIGTERM)
    assert LINGER <= time.monotonic() - begun < LINGER + 5


async def test_a_request_that_is_being_worked_on_is_finished(api: Api, settings: Settings) -> None:
    """It waits for a lock that is held beyond the time in which new requests are taken."""
    connection = await api.connect()
    async with locked(settings, "jobs"):
        answer = asyncio.create_task(api.ask(*connection, "/api/v1/jobs"))
        await asyncio.sleep(0.3)
        api.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(LINGER + 1)
        assert not answer.done()
        with pytest.raises(ConnectionRefusedError):
            await api.connect()
    head = await answer
    assert head.startswith(b"http/1.1 200")
    assert b"connection: close" in head
    assert await asyncio.to_thread(api.process.wait, 10) in (0, -signal.SIGTERM)


class locked:  # noqa: N801
    """A table that nobody can read for a while."""

    def __init__(self, settings: Settings, table: str) -> None:
        self.settings, self.table = settings, table

    async def __aenter__(self) -> None:
        self.engine: AsyncEngine = database.engine(self.settings, "test-lock", 30)
        self.connection = await self.engine.connect()
        await self.connection.exec_driver_sql(f"LOCK TABLE {self.table}")

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()
        await self.engine.dispose()


async def test_an_answer_that_takes_too_long_is_a_503(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(jobs, "get", slow)
    async with serving(settings, request_seconds=0.2) as client:
        answer = await client.get("/api/v1/jobs/status/00000000-0000-0000-0000-000000000000")
        assert is_problem(answer, 503, "too-slow")
        assert answer.headers["connection"] == "close"
