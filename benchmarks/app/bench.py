"""`make bench-app`: the service beside its floors, on this machine, now. Writes its section of docs/benchmarks.md.

BENCH_BYTES (1 GB) is the size of the collected file, BENCH_SECONDS (5) the length of each round of requests.
"""

import asyncio
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "app/tests")]

import conftest  # noqa: E402
from conftest import ADMIN_KEY, BEARER, PASSWORD  # noqa: E402
from test_processes import COLLECTOR, environment, free_port  # noqa: E402

from collector import migrate  # noqa: E402
from collector.settings import Settings  # noqa: E402

BYTES = int(os.environ.get("BENCH_BYTES", 10**9))
SECONDS = os.environ.get("BENCH_SECONDS", "5")
CONNECTIONS, ROUNDS, JOBS, WORKERS, ROWS = "16", 3, 500, 2, 200_000
PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- bench-app begins -->", "<!-- bench-app ends -->"


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
        self.variables = environment(
            self.settings, COLLECTOR_LISTEN_PORT=str(self.port), COLLECTOR_ADMIN_API_KEY_FILE=str(services.key_file),
            COLLECTOR_RATE_LIMIT_PER_SECOND="100000", COLLECTOR_RATE_LIMIT_BURST="100000", COLLECTOR_WORKER_METRICS_PORT="0",
            COLLECTOR_FOLDERS=json.dumps([str(folder)]), COLLECTOR_MAX_FILE_BYTES=str(4 * 10**9), COLLECTOR_LOG_LEVEL="warning",
            COLLECTOR_SOURCE_NETWORKS='["127.0.0.0/8"]', COLLECTOR_MAX_ROWS=str(10**9),
            COLLECTOR_WORKER_CONCURRENCY="8",
        )  # fmt: skip

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        self.started.append(subprocess.Popen([*command], env=self.variables))
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
    floor = free_port()
    process = bench.start(sys.executable, str(Path(__file__).with_name("floor.py")), str(floor), bench.dsn)
    await bench.ready(floor)
    rounds: dict[str, list[dict[str, float]]] = {"service": [], "floor": []}
    for _ in range(ROUNDS):
        for name, port in (("service", bench.port), ("floor", floor)):
            command = [sys.executable, Path(__file__).with_name("load.py"), port, made.json()["status_url"], ADMIN_KEY]
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
    lines = [f"{n},station-{n % 97},2026-11-{n % 28 + 1:02d},{n * 0.37 % 100:.2f},a note of some words\n" for n in range(100_000)]
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
    import sqlite3

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


async def measure(bench: Bench) -> list[str]:
    await migrate.upgrade_with(bench.settings)
    bench.start(*COLLECTOR, "api")
    await bench.ready(bench.port)
    status = await requests(bench)
    workers = [bench.start(*COLLECTOR, "worker") for _ in range(WORKERS)]
    await asyncio.sleep(5)
    jobs = await throughput(bench)
    async with bench.client() as client:
        sources = await by_source(bench, client)
        workers[1].terminate()
        workers[1].wait(60)
        before = peak(workers[0])
        path = bench.folder / "large.csv"
        rows = large_file(path)
        collected = await bench.job(client, "file", path=str(path))
        assert collected["rows"] == rows
        after = peak(workers[0])
    floor = await copy(bench, path)
    return table(status, jobs, sources, (collected["seconds"], floor, rows, path.stat().st_size, before, after))


def table(
    status: dict[str, dict[str, float]], jobs: float, sources: dict[str, float], large: tuple[float, float, int, int, float, float]
) -> list[str]:
    seconds, floor, rows, size, before, after = large
    ratio, times = status["service"]["rate"] / status["floor"]["rate"], seconds / floor
    aims = [ratio >= 0.4, times <= 2, after - before < 64]
    said = ["met" if aim else "missed" for aim in aims]
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()};"
        f" status with {CONNECTIONS} connections, median of {ROUNDS} rounds of {SECONDS} s, the caller on the same machine.",
        "",
        "| what | service | floor | ratio | aim |",
        "|---|---|---|---|---|",
        f"| status requests a second, with authentication; floor: Starlette, asyncpg, the same SELECT"
        f" | {status['service']['rate']:.0f} | {status['floor']['rate']:.0f} | {ratio:.2f} | at least 0.4: {said[0]} |",
    ]
    for name in ("p50", "p95", "p99"):
        own, bare = status["service"][name], status["floor"][name]
        lines.append(f"| {name}, ms | {own:.1f} | {bare:.1f} | {own / bare:.2f} | |")
    lines += [
        f"| a CSV file of {size / 1e6:.0f} MB, {rows:,} rows, s; floor: a bare COPY of it"
        f" | {seconds:.1f} | {floor:.1f} | {times:.2f} | at most 2: {said[1]} |",
        f"| memory of the worker at most, MB, before that file and after it | {before:.0f} → {after:.0f} | | |"
        f" grows by less than 64: {said[2]} |",
        f"| jobs a second through the queue, {WORKERS} workers | {jobs:.0f} | | | |",
        f"| rows a second: file, CSV | {rows / seconds:,.0f} | | | |",
        *(f"| rows a second: {name} | {rate:,.0f} | | | |" for name, rate in sources.items()),
        "",
        f"aims: {sum(aims)} met, {len(aims) - sum(aims)} missed",
    ]
    return lines


def write(lines: list[str]) -> None:
    section = "\n".join([MARKS[0], "## The Data Collection Service", "", "Written by `make bench-app`.", "", *lines, MARKS[1]])
    text = PAGE.read_text() if PAGE.is_file() else "# Benchmarks\n\nEach section is written by the command that it names.\n"
    before, found, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2] if found else ""
    PAGE.write_text((before.rstrip("\n") + "\n\n" + section + after).rstrip("\n") + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for services in conftest.backing_services(folder, kept=True):
            bench = Bench(folder, services)
            try:
                lines = asyncio.run(measure(bench))
            finally:
                for process in bench.started:
                    process.terminate()
                    process.wait(60)
    write(lines)
    print("\n".join(lines))  # noqa: T201


main()
