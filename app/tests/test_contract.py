"""The API is what its description says: schemathesis finds nothing, every example is accepted, the page is up to date."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conftest import ADMIN_KEY, serving
from test_api import TRIGGER
from test_processes import COLLECTOR, environment, free_port

from collector import healthcheck, migrate
from collector.api import create_app
from collector.contract import document
from collector.schemas import EXAMPLES
from collector.settings import Settings

ROOT = Path(__file__).parents[1]


def test_the_reference_page_is_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts/reference", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_is_described_with_its_problems() -> None:
    paths = document(create_app(Settings()))["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"]
            if path.startswith("/api/"):
                assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
                assert operation["security"]


@pytest.mark.docker
@pytest.mark.parametrize("name", EXAMPLES)
async def test_every_example_is_accepted(settings: Settings, name: str) -> None:
    async with serving(settings) as client:
        answer = await client.post(TRIGGER, json=EXAMPLES[name]["value"])
        assert answer.status_code == 202, answer.text


@pytest.fixture
async def address(settings: Settings) -> AsyncIterator[str]:
    """The API as a process, as schemathesis would meet it."""
    port = free_port()
    await migrate.upgrade_with(settings)
    key = settings.admin_api_key_file
    variables = environment(
        settings, COLLECTOR_LISTEN_PORT=str(port), COLLECTOR_ADMIN_API_KEY_FILE=str(key), COLLECTOR_LOG_LEVEL="error",
        COLLECTOR_RATE_LIMIT_PER_SECOND="0",
    )  # fmt: skip
    api = subprocess.Popen([*COLLECTOR, "api"], env=variables)
    for _ in range(200):
        if healthcheck.api(port, "/health/ready") is None:
            break
        await asyncio.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    api.terminate()
    api.wait(20)


@pytest.mark.docker
async def test_schemathesis_finds_nothing(address: str, tmp_path: Path) -> None:
    """Every check but one: a request that fits the schema may still be refused with 422, where two fields contradict each
    other, or where a cursor is none of ours; JSON Schema cannot say that."""
    done = await asyncio.to_thread(
        subprocess.run,
        [
            Path(sys.executable).with_name("schemathesis"), "run", f"{address}/openapi.json",
            "--header", f"Authorization: Bearer {ADMIN_KEY}", "--checks", "all",
            "--exclude-checks", "positive_data_acceptance", "--max-examples", "25", "--seed", "1",
            "--suppress-health-check", "all", "--no-color",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert json.dumps(ADMIN_KEY) not in done.stdout
