"""make bench-app: the service beside its floors, on this machine, now. Writes its section of docs/benchmarks.md.

BENCH_BYTES (1 GB) is the size of the collected file, BENCH_SECONDS (5) the length of each round of requests.
"""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "app/tests"), str(ROOT / "benchmarks")]

import conftest  # noqa: E402
from conftest import BEARER, PASSWORD  # noqa: E402
from report import Aim, finish, table  # noqa: E402
from test_processes import COLLECTOR, environment, free_port  # noqa: E402

from collector import database, keys, migrate  # noqa: E402
from collector.settings import Settings  # noqa: E402

BYTES = int(os.environ.get("BENCH_BYTES", 10**9))
SECONDS = os.environ.get("BENCH_SECONDS", "5")
CONNECTIONS, ROUNDS, JOBS, WORKERS, ROWS = "16", 3, 500, 2, 200_000
STATUS_RATIO, COPY_TIMES, GROWTH = 0.4, 2.0, 64.0


class Bench:
    def __init__(self, folder: Path, services: conftest.Services) -> None:
        self.folder, self.services = folder, services
        self.dsn = f"postgresql://collector@127.0.0.1:{services.postgres_port}/collector"
        os.environ["PGPASSWORD"] = PASSWORD
        self.settings = Settings(
            database_host="127.0.0.1", database_port=services.postgres_port, database_password_file=services.password_file,
            redis_host="127.0.0.1", redis_port=services.redis_port, redis_password_file=services.password_file,
            heartbeat_file=folder / "alive", admin_api_key_file=services.key_file,
        )  # fmt: skip
        self.port = free_port()
        self.started: list[subprocess.Popen[bytes]] = []
        self.log = folder / "log"
        self.variables = environment(
            self.settings, COLLECTOR_LISTEN_PORT=str(self.port), COLLECTOR_ADMIN_API_KEY_FILE=str(services.key_file),
            COLLECTOR_RATE_LIMIT_PER_SECOND="100000", COLLECTOR_RATE_LIMIT_BURST="100000", COLLECTOR_WORKER_METRICS_PORT="0",
            COLLECTOR_FOLDERS=json.dumps([str(folder)]), COLLECTOR_MAX_FILE_BYTES=str(4 * 10**9),
            COLLECTOR_SOURCE_NETWORKS='["127.0.0.0/8"]', COLLECTOR_MAX_ROWS=str(10**9),
            COLLECTOR_WORKER_CONCURRENCY="8", PYTHONPATH=str(ROOT / "app"),
        )  # fmt: skip

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Its log lines, one a request, go into a file."""
        with self.log.open("a") as log:
            self.started.append(subprocess.Popen([*command], env=self.variables, stderr=log))
        return self.started[-1]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=BEARER, timeout=60)

    async def ready(self, port: int) -> None:
        async with httpx.AsyncClient() as client:
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(f"http://127.0.0.1:{port}/health/live")
                    return
                await asyncio.sleep(0.1)
        raise SystemExit(f"nobody answers on port {port}:\n{self.log.read_text()[-2000:]}")

    async def key(self) -> str:
        """Of a caller like others: PostgreSQL is asked for it, every few seconds."""
        engine = database.engine(self.settings, "bench", 10)
        try:
            return await keys.make(engine, "bench", sorted(keys.ALL), None)
        finally:
            await engine.dispose()

    async def job(self, client: httpx.AsyncClient, source_type: str, **config: Any) -> dict[str, Any]:
        """A job, run to its end; its status, with `seconds` from its start to its end."""
        answer = await client.post("/api/v1/jobs/trigger", json={"source_type": source_type, "config": config})
        assert answer.status_code == 202, answer.text
        while (status := (await client.get(answer.json()["status_url"])).json())["status"] in ("queued", "running"):
            await asyncio.sleep(0.1)
        assert status["status"] == "succeeded", status
        begun, ended = (datetime.fromisoformat(status[name]) for name in ("started_at", "finished_at"))
        return {**status, "seconds": (ended - begun).total_seconds()}


async def requests(bench: Bench) -> dict[str, dict[str, float]]:
    """Rounds of both by turns, so that what else the machine does falls on both."""
    async with bench.client() as client:
        config = {"path": str(bench.folder / "none.csv")}
        made = await client.post("/api/v1/jobs/trigger", json={"source_type": "file", "config": config})
    floor, key = free_port(), await bench.key()
    process = bench.start(sys.executable, str(Path(__file__).with_name("floor.py")), str(floor), bench.dsn)
    await bench.ready(floor)
    rounds: dict[str, list[dict[str, float]]] = {"service": [], "floor": []}
    for _ in range(ROUNDS):
        for name, port in (("service", bench.port), ("floor", floor)):
            command = [sys.executable, Path(__file__).with_name("load.py"), port, made.json()["status_url"], key]
            words = [*map(str, command), CONNECTIONS, SECONDS]
            said = await asyncio.to_thread(subprocess.check_output, words)
            rounds[name].append(json.loads(said))
    process.terminate()
    return {name: {key: statistics.median(each[key] for each in found) for key in found[0]} for name, found in rounds.items()}


async def throughput(bench: Bench) -> float:
    """Jobs a second, each a file of two rows, from the first request to the last end."""
    (bench.folder / "small.csv").write_text("a,b\n1,2\n3,4\n")
    connection = await asyncpg.connect(bench.dsn)
    before = await connection.fetchval("SELECT count(*) FROM jobs WHERE state = 'succeeded'")
    begun = time.perf_counter()
    async with bench.client() as client:
        body = {"source_type": "file", "config": {"path": str(bench.folder / "small.csv")}}
        for _ in range(JOBS // 20):
            answers = await asyncio.gather(*(client.post("/api/v1/jobs/trigger", json=body) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {202}
        while await connection.fetchval("SELECT count(*) FROM jobs WHERE state = 'succeeded'") < before + JOBS:
            await asyncio.sleep(0.05)
    await connection.close()
    return JOBS / (time.perf_counter() - begun)


def large_file(path: Path) -> int:
    """A CSV file of BENCH_BYTES; the number of its rows."""
    lines = [
        f"{n},station-{n % 97},2026-11-{n % 28 + 1:02d},{n * 0.37 % 100:.2f},a note of some words\n" for n in range(100_000)
    ]
    block = "".join(lines).encode()
    with path.open("wb") as file:
        file.write(b"id,station,day,value,note\n")
        count = max(1, BYTES // len(block))
        for _ in range(count):
            file.write(block)
    return count * len(lines)


async def copy(bench: Bench, path: Path) -> float:
    """Seconds for a bare COPY of the same file into a table of five text columns."""
    connection = await asyncpg.connect(bench.dsn)
    await connection.execute("CREATE TABLE floor (id text, station text, day text, value text, note text)")
    begun = time.perf_counter()
    await connection.copy_to_table("floor", source=str(path), format="csv", header=True, timeout=3600)
    seconds = time.perf_counter() - begun
    await connection.execute("DROP TABLE floor")
    await connection.close()
    return seconds


def peak(process: "subprocess.Popen[bytes]") -> float:
    """MB of memory at the most since the process began."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@contextlib.contextmanager
def http_source() -> Iterator[str]:
    """ROWS rows in pages of 2,000."""

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802
            number = int(self.path.rpartition("=")[2]) if "page=" in self.path else 1
            first = (number - 1) * 2000
            rows = [{"id": n, "station": f"station-{n % 97}", "value": n * 0.37} for n in range(first, min(first + 2000, ROWS))]
            body = json.dumps(rows).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/rows"
    server.shutdown()


async def by_source(bench: Bench, client: httpx.AsyncClient) -> dict[str, float]:
    lines = "".join(json.dumps({"id": n, "station": f"station-{n % 97}", "value": n * 0.37}) + "\n" for n in range(ROWS))
    (bench.folder / "rows.jsonl").write_text(lines)
    with contextlib.closing(sqlite3.connect(bench.folder / "rows.db")) as base, base:
        base.execute("CREATE TABLE rows (id integer, station text, value real)")
        base.executemany("INSERT INTO rows VALUES (?, ?, ?)", ((n, f"station-{n % 97}", n * 0.37) for n in range(ROWS)))
    found = {}
    jsonl = await bench.job(client, "file", path=str(bench.folder / "rows.jsonl"))
    sqlite = await bench.job(client, "database", path=str(bench.folder / "rows.db"), query="SELECT * FROM rows")
    with http_source() as url:
        api = await bench.job(client, "api", url=url, paging={"type": "page", "parameter": "page"})
    for name, job in (("file, JSON Lines", jsonl), ("database, SQLite", sqlite), ("api, pages of 2,000", api)):
        assert job["rows"] == ROWS, job
        found[name] = ROWS / job["seconds"]
    return found


@dataclass(frozen=True)
class Large:
    """Collecting a large file: seconds, those of a bare COPY; memory of the worker at most before and after, in MB."""

    seconds: float
    floor: float
    rows: int
    size: int
    before: float
    after: float


@dataclass(frozen=True)
class Figures:
    status: dict[str, dict[str, float]]
    jobs: float
    sources: dict[str, float]
    large: Large


async def measure(bench: Bench) -> Figures:
    await migrate.upgrade_with(bench.settings)
    bench.start(*COLLECTOR, "api")
    await bench.ready(bench.port)
    status = await requests(bench)
    workers = [bench.start(*COLLECTOR, "worker") for _ in range(WORKERS)]
    await asyncio.sleep(5)
    jobs = await throughput(bench)
    async with bench.client() as client:
        sources = await by_source(bench, client)
        for worker in workers[1:]:
            worker.terminate()
            worker.wait(60)
        return Figures(status, jobs, sources, await collected(bench, client, workers[0]))


async def collected(bench: Bench, client: httpx.AsyncClient, worker: "subprocess.Popen[bytes]") -> Large:
    before, path = peak(worker), bench.folder / "large.csv"
    rows = large_file(path)
    job = await bench.job(client, "file", path=str(path))
    assert job["rows"] == rows
    return Large(job["seconds"], await copy(bench, path), rows, path.stat().st_size, before, peak(worker))


def parts(found: Figures) -> list[str]:
    service, floor, large = found.status["service"], found.status["floor"], found.large
    said = (
        f"Status requests over {CONNECTIONS} connections, with authentication by a key in PostgreSQL, limits, metrics and a log line each: the median of {ROUNDS} rounds of {SECONDS} s, by turns"
        " with the floor, which is Starlette, asyncpg and the same SELECT. The caller is on the same machine."
    )
    names = {"rate": "requests a second", "p50": "p50, ms", "p95": "p95, ms", "p99": "p99, ms"}
    status = [
        (names[name], f"{service[name]:.1f}", f"{floor[name]:.1f}", f"{service[name] / floor[name]:.2f}") for name in names
    ]
    rates = {f"file, CSV of {large.size / 1e6:.0f} MB": large.rows / large.seconds, **found.sources}
    rows = [(name, f"{rate:,.0f} rows/s") for name, rate in rates.items()]
    copied = f"a file of {large.size / 1e6:.0f} MB, {large.rows:,} rows; beside it a bare COPY of it into a table of text"
    work = [
        (copied, f"{large.seconds:.1f} s; {large.floor:.1f} s"),
        ("memory of its worker at most, before it and after", f"{large.before:.0f} MB; {large.after:.0f} MB"),
        (f"jobs through the queue, {WORKERS} workers, each job a file of two rows", f"{found.jobs:.0f} jobs/s"),
    ]
    return [said, table(("status", "service", "floor", "ratio"), status), table(("collecting", ""), [*work, *rows])]


def aims(found: Figures) -> list[Aim]:
    large, status = found.large, found.status
    ratio = status["service"]["rate"] / status["floor"]["rate"]
    return [
        Aim("status requests a second, of its floor's", ratio, STATUS_RATIO, least=True),
        Aim("file collection, of a bare COPY's time", large.seconds / large.floor, COPY_TIMES),
        Aim("growth of the worker's memory by that file", large.after - large.before, GROWTH, "MB"),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for services in conftest.backing_services(folder, kept=True):
            bench = Bench(folder, services)
            try:
                found = asyncio.run(measure(bench))
            finally:
                for process in bench.started:
                    process.terminate()
                    process.wait(60)
    finish("app", "The Data Collection Service", parts(found), aims(found))


main()
