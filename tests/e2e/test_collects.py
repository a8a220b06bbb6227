"""The Data Collection Service at a site, used as its callers use it: through nginx, with two API hosts, by keys."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl import rehearsal
from deployctl.site import load_site
from places import NETWORKS, ROOT, SUFFIX, Place, Vendor, moved

pytestmark = pytest.mark.e2e
API = "https://web1:8443/api/v1/jobs"
CRM = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        page = int(self.path.rpartition("=")[2]) if "page=" in self.path else 1
        known = self.headers.get("Authorization", "").startswith("Bearer ")
        body = json.dumps([{"n": page * 10 + n} for n in range(2)] if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if page < 3: self.send_header("Link", f"<?page={page + 1}>; rel=next")
        self.end_headers()
        self.wfile.write(body)
ThreadingHTTPServer(("", 8080), Pages).serve_forever()
"""
SQLITE = (
    "import sqlite3; b = sqlite3.connect('/data/inbox/b.db'); b.execute('CREATE TABLE t (n)');"
    " b.executemany('INSERT INTO t VALUES (?)', [(n,) for n in range(2500)]); b.commit()"
)
FOREVER = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"


def product(folder: Path) -> Path:
    """The product with a source: its worker may reach `crm`, and holds a token for it."""
    shutil.copytree(ROOT / "app" / "config", folder / "config", ignore=shutil.ignore_patterns("*.conf", "*.toml"))
    text = (ROOT / "app" / "compose.yaml").read_text()
    for before, after in (
        ("  version: 1.0.0\n", "  version: 1.0.1\n"),
        (
            "  secrets:\n    postgres_password",
            "    - {from: worker, to: crm:8080}\n  secrets:\n    source_crm_token: {kind: password}\n    postgres_password",
        ),
        (
            "secrets:\n  postgres_password: {file",
            "secrets:\n  source_crm_token: {file: ./dev/token}\n  postgres_password: {file",
        ),
        (
            "    secrets: [postgres_password, redis_password]\n",
            "    secrets: [postgres_password, redis_password, source_crm_token]\n",
        ),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / "compose.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def site(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Four hosts with the product, and outside a CRM with an API."""
    project = product(tmp_path_factory.mktemp("product") / "app")
    bundle = vendor.bundle(project).name
    network = str(int(NETWORKS["acme"]) + 3)
    folder = moved(f"collects-e2e{SUFFIX}", "acme", network, tmp_path_factory.mktemp("inventories"))
    with (folder / "group_vars" / "all" / "client.yml").open("a") as file:
        file.write(f"externals: {{crm: {{address: 10.{network}.60.5}}}}\nsettings: {{source_hosts: crm}}\n")
    known = load_site(folder)
    rehearsal.down(known.name, known.folder)
    rehearsal.up(known, rehearsal.read_flows(known, project), medium=vendor.medium)
    place = Place(known)
    try:
        place.prepare(bundle)
        rehearsal.exec_in(place.client, "crm", ["sh", "-c", "cat > /crm.py"], given=CRM)
        place.on(
            "crm", "nft insert rule ip answer in tcp dport 8080 accept; setsid python3 /crm.py >/crm.log 2>&1 </dev/null &"
        )
        place.install(bundle, "--no-flows")
        yield place
    finally:
        rehearsal.down(known.name, known.folder)


def asked(site: Place, source_type: str, *words: str, **config: Any) -> dict[str, Any]:
    """A job."""
    body = json.dumps({"source_type": source_type, "config": config})
    return site.asked(f"{API}/trigger", "-H", "Content-Type: application/json", "-d", body, *words)


def ended(site: Place, job: dict[str, Any], *states: str) -> dict[str, Any]:
    """The job's status, once it is one of these."""
    last = time.monotonic() + 60
    while (status := site.asked(f"{API}/status/{job['job_id']}"))["status"] not in states:
        assert time.monotonic() < last, status
        time.sleep(0.3)
    return status


def code(site: Place, url: str, *words: str) -> str:
    """The status of an answer."""
    return site.curl(url, "-o", "/dev/null", "-w", "%{http_code}", *words)


@pytest.fixture(scope="module")
def database(site: Place) -> dict[str, Any]:
    """A job of type database that has succeeded: a SQLite file, in the inbox of both hosts."""
    for host in ("app1", "app2"):
        site.on(host, f'docker exec collector-worker-1 python3 -c "{SQLITE}"')
    job = asked(
        site,
        "database",
        path="/data/inbox/b.db",
        query="SELECT n FROM t WHERE n >= :least ORDER BY n",
        parameters={"least": 500},
    )
    assert ended(site, job, "succeeded", "failed", "dead")["error"] is None
    return job


def test_an_api_is_collected_page_by_page_with_a_secret_that_nobody_is_told(site: Place) -> None:
    auth = {"type": "bearer", "secret": "crm_token"}
    job = asked(site, "api", url="http://crm:8080/rows", auth=auth, paging={"type": "link"})
    assert ended(site, job, "succeeded", "failed", "dead")["error"] is None
    assert [row["n"] for row in site.asked(f"{API}/result/{job['job_id']}")["rows"]] == [10, 11, 20, 21, 30, 31]
    refused = asked(site, "api", url="http://crm:8080/rows")
    assert "401" in ended(site, refused, "failed", "dead")["error"]


def test_an_api_job_reaches_nothing_of_the_site_itself(site: Place) -> None:
    for url in (
        "http://postgres:5432/",
        "http://127.0.0.1:9100/metrics",
        f"http://{site.site.hosts['app1'].address}:8000/metrics",
    ):
        assert "not permitted" in ended(site, asked(site, "api", url=url), "failed", "dead")["error"]


def test_a_result_comes_in_pages_as_csv_and_as_json_lines(site: Place, database: dict[str, Any]) -> None:
    url, seen, after = f"{API}/result/{database['job_id']}", [], 0
    while after is not None:
        page = site.asked(f"{url}?after={after}&limit=900")
        seen, after = [*seen, *(row["n"] for row in page["rows"])], page["next_after"]
    assert seen == list(range(500, 2500))
    assert site.curl(url, "-H", "Accept: text/csv").splitlines() == ["n", *map(str, seen)]
    lines = site.curl(url, "-H", "Accept: application/x-ndjson").splitlines()
    assert [json.loads(line)["n"] for line in lines] == seen


def test_jobs_are_listed_by_page_and_the_same_key_gives_the_same_job(site: Place, database: dict[str, Any]) -> None:
    files = [asked(site, "file", "-H", "Idempotency-Key: nightly", path="/data/samples/readings.csv") for _ in range(3)]
    assert len({job["job_id"] for job in files}) == 1
    assert ended(site, files[0], "succeeded", "failed")["rows"] > 0
    listed, cursor = [], ""
    while cursor is not None:
        page = site.asked(f"{API}?limit=2{cursor and '&cursor='}{cursor}")
        listed, cursor = [*listed, *(job["job_id"] for job in page["jobs"])], page["next_cursor"]
    assert len(listed) == len(set(listed))
    assert {files[0]["job_id"], database["job_id"]} <= set(listed)


def test_a_running_job_is_cancelled_and_tried_again(site: Place, database: dict[str, Any]) -> None:
    job = asked(site, "database", path="/data/inbox/b.db", query=FOREVER)
    ended(site, job, "running")
    assert code(site, f"{API}/result/{job['job_id']}") == "409"
    assert code(site, f"{API}/cancel/{job['job_id']}", "-X", "POST") == "202"
    assert ended(site, job, "cancelled")["attempt"] == 1
    assert code(site, f"{API}/cancel/{job['job_id']}", "-X", "POST") == "409"
    assert code(site, f"{API}/retry/{job['job_id']}", "-X", "POST") == "202"
    assert ended(site, job, "running")["attempt"] == 2
    assert code(site, f"{API}/cancel/{job['job_id']}", "-X", "POST") == "202"
    ended(site, job, "cancelled")


def test_only_a_key_with_the_scope_gets_in(site: Place, database: dict[str, Any]) -> None:
    status, result = (f"{API}/{what}/{database['job_id']}" for what in ("status", "result"))
    key = site.on("app1", "docker exec collector-api-1 collector keys make crm --scope jobs:read").stdout.strip()
    own = ("-H", f"X-API-Key: {key}")
    assert [code(site, url, *own) for url in (status, result)] == ["200", "403"]
    assert code(site, status, "-H", "X-API-Key;") == "401"
    assert code(site, status, "-H", "X-API-Key: ck_wrong") == "401"
    site.on("app2", "docker exec collector-api-1 collector keys revoke crm")
    time.sleep(5.5)  # key_cache_seconds
    assert {code(site, status, *own) for _ in range(4)} == {"401"}


def test_both_hosts_say_that_they_are_well_and_metrics_stay_inside(site: Place) -> None:
    assert {site.asked("https://web1:8443/health")["status"] for _ in range(4)} == {"ok"}
    assert code(site, "https://web1:8443/metrics") == "404"
