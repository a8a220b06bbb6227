"""What needs no service: the schema's rule, the request id, health checks, templates."""

import asyncio
import os
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import render
from starlette.datastructures import Headers

from collector import access, health, healthcheck, migrate
from collector.sources import SourceError
from collector.sources.network import judged
from collector.sources.settings import SourceSettings

KNOWN = frozenset({"0001", "0002"})


@pytest.mark.parametrize(
    ("current", "usable"),
    [(None, False), ("0001", False), ("0002", True), ("0003", True)],
    ids=["no schema", "an older one", "ours", "one of a newer release"],
)
def test_which_schema_a_version_can_work_with(current: str | None, usable: bool) -> None:
    assert migrate.is_usable(current, KNOWN, "0002") is usable


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("", False), ("a\nb", False), ("x" * 65, False)])
def test_only_a_harmless_request_id_is_kept(given: str, kept: bool) -> None:
    assert (access.request_id(Headers({"X-Request-Id": given})) == given) is kept


async def test_a_probe_that_hangs_is_ill_in_time_and_not_started_twice() -> None:
    started = 0

    async def hang() -> None:
        nonlocal started
        started += 1
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if started < 0:
                    raise

    probe = health.Probe(hang, 0.05)
    for _ in range(2):
        answer = await asyncio.wait_for(probe(), 1)
        assert (answer.status, answer.error) == ("ill", "no answer within 0.05 s")
    assert started == 1
    started, running = -1, probe.running
    assert running is not None
    running.cancel()


async def test_a_probe_gives_the_reason() -> None:
    async def refuse() -> None:
        raise ConnectionRefusedError("nobody there\nsecond line")

    assert (await health.Probe(refuse, 1)()).error == "ConnectionRefusedError: nobody there"


def test_the_worker_is_alive_while_its_heartbeat_is_fresh(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    assert "no heartbeat" in (healthcheck.worker(beat, 0) or "")
    beat.touch()
    os.utime(beat, (1000, 1000))
    assert healthcheck.worker(beat, 1030) is None
    assert healthcheck.worker(beat, 1100) == "the last heartbeat is 100 s old"


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False)])
def test_the_health_check_believes_the_status(status: int, well: bool) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        assert (healthcheck.api(server.server_port, "/health/ready") is None) is well
        thread.join()


def test_the_health_check_says_that_nobody_listens() -> None:
    assert "refused" in (healthcheck.api(1, "/health/ready") or "")


def test_nginx_balances_over_every_host() -> None:
    text = render.render("nginx.conf", "10.77.20.11", "10.77.20.12")
    assert "server 10.77.20.11:8000 max_fails" in text
    assert "server 10.77.20.12:8000 max_fails" in text


def test_the_settings_template_takes_the_clients_answers() -> None:
    plain = tomllib.loads(render.render("collector.toml"))
    assert (plain["log_level"], plain["source_networks"], plain["source_networks_refused"]) == ("info", [], [])
    answers = {"log_level": "debug", "source_networks": "10.9.0.0/16 10.8.0.0/16", "source_hosts": "crm"}
    filled = tomllib.loads(render.render("collector.toml", "10.77.30.11", **answers))
    assert (filled["log_level"], filled["source_hosts"]) == ("debug", ["crm"])
    assert filled["source_networks"] == ["10.9.0.0/16", "10.8.0.0/16"]


def test_the_settings_template_refuses_the_services_own_addresses_to_sources() -> None:
    filled = tomllib.loads(render.render("collector.toml", "10.77.30.11", source_networks="10.0.0.0/8"))
    given = SourceSettings(**{name: value for name, value in filled.items() if name.startswith("source_")})
    assert str(judged("10.1.1.1", "crm", given)) == "10.1.1.1"
    with pytest.raises(SourceError, match="not permitted"):
        judged("10.77.30.11", "crm", given)
