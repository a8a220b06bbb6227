"""compose.yaml, as docker-bench-security looks at it: users, capabilities, limits, networks, no secret in the environment."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import docker

pytestmark = pytest.mark.docker
FILE = Path(__file__).parents[1] / "compose.yaml"
SERVICES = ("api", "nginx", "postgres", "redis", "worker")


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("compose", "--file", str(FILE), "config", "--format", "json"))
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_what_confines_it(model: dict[str, Any], name: str) -> None:
    service = model["services"][name]
    assert int(service["user"].partition(":")[0]) > 0
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert "no-new-privileges:true" in service["security_opt"]
    assert int(service["mem_limit"]) > 0
    assert float(service["cpus"]) > 0
    assert 0 < int(service["pids_limit"]) <= 256
    assert service["restart"] == "unless-stopped"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["healthcheck"]["test"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_files_and_nowhere_else(model: dict[str, Any], name: str) -> None:
    service = model["services"][name]
    assert service["secrets"]
    for variable, value in (service.get("environment") or {}).items():
        assert not any(word in variable.lower() for word in ("password", "key", "secret")) or value.startswith("/run/secrets/")


def test_only_nginx_is_published_and_it_shares_no_network_with_the_data(model: dict[str, Any]) -> None:
    services = model["services"]
    assert [name for name in SERVICES if services[name].get("ports")] == ["nginx"]
    for name in ("postgres", "redis"):
        assert not set(services["nginx"]["networks"]) & set(services[name]["networks"])
    assert model["networks"]["back"]["internal"]


def test_services_start_when_what_they_need_is_well(model: dict[str, Any]) -> None:
    for name in ("nginx", "api", "worker"):
        assert {each["condition"] for each in model["services"][name]["depends_on"].values()} == {"service_healthy"}
