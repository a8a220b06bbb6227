"""What each host shall have: the same bytes for the same input, and a mark that changes with what a container is made from."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from sites import ACME, ONE, PROJECT, release, releases, site, sites, sources

from deploybundle.release import Release
from deploybundle.sources import compose_binary
from deployctl.desired import HASH_LABEL, Desired, desired
from deployctl.desired.compose import tag_of
from deployctl.site import Site

CANARY = "canary-5f2a"
API: dict[str, Any] = {
    "user": "10001:10002",
    "secrets": [{"source": "pw"}],
    "environment": {"PRICE": "5$$"},
    "volumes": [{"type": "bind", "source": f"{PROJECT}/config/app.toml", "target": "/etc/app.toml", "bind": {}},
                {"type": "volume", "source": "data", "target": "/data"}],
    "ports": [{"target": 8000, "published": "8000"}], "networks": {"default": None}, "build": {"context": "."},
    "depends_on": {"db": {"condition": "service_healthy", "required": True}}, "profiles": ["x"],
    "x": {"segment": "internal", "migrate": ["app", "cost", "5$"]},
}  # fmt: skip
SHOP = release(
    {"api": API, "db": {"x": {"segment": "data"}, "healthcheck": {"test": ["CMD", "true"]}}},
    [("clients", "api", 8000), ("api", "db", 5432)],
    compose={"volumes": {"data": {"name": "shop_data"}, "unused": {}}},
)
CLIENT = {"networks": {"clients": {"cidr": ["10.9.0.0/24"]}}}
FILES = {"config/app.toml.j2": b"db = {{ site.endpoints('db')[0] }} at {{ host.name }}\n", "other": b"x"}


def shop(hosts: dict[str, tuple[str, str]] = ACME, files: dict[str, bytes] = FILES, pw: str = CANARY, **client: Any) -> Desired:
    return desired(SHOP, site(hosts, **CLIENT, **client), sources(SHOP, files, pw=pw))


@settings(max_examples=20)
@given(releases(), sites())
def test_the_same_input_gives_the_same(given: Release, where: Site) -> None:
    assert desired(given, where, sources(given)) == desired(given, where, sources(given))


SHOW = "import hashlib, test_desired_state as t; print(hashlib.sha256(repr(t.shop()).encode()).hexdigest())"


def test_another_run_of_python_gives_the_same_bytes() -> None:
    """Sets have another order in each."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests / "desired")])
    runs = [
        subprocess.run([sys.executable, "-c", SHOW], env={"PYTHONPATH": path, "PYTHONHASHSEED": seed}, capture_output=True)
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != b"", runs[0].stderr.decode()


def test_compose_itself_accepts_what_a_host_gets(tmp_path: Path) -> None:
    for host in shop(ONE).hosts.values():
        (tmp_path / "compose.yaml").write_bytes(host.files["/etc/deployctl/shop/compose.yaml"].content)
        command = [compose_binary(), "--profile", "*", "config", "--format", "json"]
        read = json.loads(subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, check=True).stdout)
        assert read["services"].keys() == {"api", "db", "api-migrate"}
        assert read["services"]["api"]["environment"]["PRICE"] == "5$$"
        assert read["services"]["api-migrate"]["command"] == ["app", "cost", "5$$"]


def test_a_host_gets_its_own_services_on_a_network_each_and_publishes_nothing() -> None:
    model = shop().hosts["app1"].compose
    api = model["services"]["api"]
    assert model["services"].keys() == {"api", "api-migrate"}
    assert not {"ports", "build", "profiles", "x-deployctl", "depends_on"} & api.keys()
    assert list(model["networks"]) == ["api"] and model["networks"]["api"]["name"] == "shop_api"
    assert model["networks"]["api"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert model["volumes"] == {"data": {"name": "shop_data"}}
    assert api["extra_hosts"] == ["db:10.77.30.11"]
    assert api["logging"]["options"]["max-size"] and api["pull_policy"] == "never" and api["restart"] == "unless-stopped"


def test_services_of_one_host_wait_for_each_other_and_meet_at_the_service_address() -> None:
    host = shop(ONE).hosts["srv1"]
    assert host.compose["services"]["api"]["depends_on"].keys() == {"db"}
    (name,) = host.compose["services"]["api"]["extra_hosts"]
    assert name.startswith("db:172.30.15.")
    assert host.files["/etc/deployctl/shop/config/app.toml"].content == f"db = {name[3:]}:5432 at srv1\n".encode()


def test_a_migration_runs_on_one_host_only_with_an_address_of_its_own() -> None:
    shall = shop()
    assert [(m.runs_as, m.host, m.wave) for m in shall.migrations] == [("api-migrate", "app1", 1)]
    assert "api-migrate" not in shall.hosts["app2"].compose["services"]
    services = shall.hosts["app1"].compose["services"]
    addresses = [services[name]["networks"]["api"]["ipv4_address"] for name in ("api", "api-migrate")]
    assert len(set(addresses)) == 2
    assert services["api-migrate"]["profiles"] == ["migrate"] and services["api-migrate"]["restart"] == "no"
    assert HASH_LABEL in services["api"]["labels"]


def test_only_hosts_with_a_service_are_in_it() -> None:
    assert shop().hosts.keys() == {"app1", "app2", "db1"}


def test_no_secret_is_anywhere_but_in_its_file_which_its_user_alone_may_read() -> None:
    host = shop().hosts["app1"]
    holding = {path: file for path, file in host.files.items() if CANARY.encode() in file.content}
    assert [(path.rpartition("/")[2], oct(f.mode), f.uid, f.gid, f.secret) for path, f in holding.items()] == [
        ("pw", "0o400", 10001, 10002, True)
    ]
    assert CANARY not in repr(host) + host.network + json.dumps(host.compose)
    assert host.compose["services"]["api"]["volumes"][-1] == {
        "type": "bind", "source": "/var/lib/deployctl/shop/secrets/api", "target": "/run/secrets", "read_only": True,
        "bind": {"create_host_path": False},
    }  # fmt: skip
    with pytest.raises(TypeError, match="cannot be serialised"):
        pickle.dumps(sources(SHOP, pw=CANARY))


def test_a_file_that_a_template_put_a_secret_into_is_a_secret_itself() -> None:
    host = shop(files={"config/app.toml.j2": b"{{ secrets['pw'] }}"}).hosts["app1"]
    file = host.files["/etc/deployctl/shop/config/app.toml"]
    assert (file.content, oct(file.mode), file.uid, file.secret) == (CANARY.encode(), "0o400", 10001, True)
    assert CANARY not in repr(host)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, set()),
        ({"files": FILES | {"other": b"y"}}, set()),
        ({"files": FILES | {"config/app.toml.j2": b"new"}}, {"api"}),
        ({"pw": "another"}, {"api"}),
        ({"resources": {"db": {"memory": "1g"}}}, {"db"}),
        ({"title": "Acme Bank"}, set()),
        ({"ports": {"db": {5432: 6432}}}, {"api"}),
        ({"pool": "10.200.0.0/16"}, {"api", "db"}),
    ],
)
def test_a_container_is_made_again_when_what_it_is_made_from_changed_and_not_otherwise(
    change: dict[str, Any], changed: set[str]
) -> None:
    before, after = shop(), shop(**change)
    hashes = [
        {each.name: each.hash for host in one.hosts.values() for each in host.services.values()} for one in (before, after)
    ]
    assert {name for name in hashes[0] if hashes[0][name] != hashes[1][name]} == changed


def test_limits_of_the_client_replace_those_of_the_release() -> None:
    api = shop(ONE, resources={"api": {"memory": "512m", "cpus": 1.5}}).hosts["srv1"].compose["services"]["api"]
    assert (api["mem_limit"], api["cpus"]) == ("512m", 1.5)


def test_a_person_at_the_host_reads_what_runs_and_who_may_connect() -> None:
    files = shop(title="Acme Bank").hosts["app1"].files
    readme = files["/etc/deployctl/shop/README"].content.decode()
    assert "This host, app1, runs a part of shop 1.0.0, which deployctl put here for Acme Bank." in readme
    assert "  in:   clients (10.9.0.0/24) to api, port 8000\n" in readme
    assert "  out:  api to db at db1 (10.77.30.11), port 5432\n" in readme
    assert "api-migrate" not in readme
    compose = files["/etc/deployctl/shop/compose.yaml"].content.decode()
    assert compose.startswith("# Written by deployctl for app1: shop 1.0.0 at acme.")
    assert yaml.safe_load(compose)["name"] == "shop"


@pytest.mark.parametrize(
    ("ref", "tag"),
    [
        ("shop/api:1.0", "shop/api:1.0-0123456789abcdef"),
        ("shop/api", "shop/api:latest-0123456789abcdef"),
        ("reg.example:5000/api", "reg.example:5000/api:latest-0123456789abcdef"),
        ("reg.example:5000/api:2", "reg.example:5000/api:2-0123456789abcdef"),
        (f"api:17@sha256:{'a' * 64}", "api:17-0123456789abcdef"),
        (f"api@sha256:{'a' * 64}", "api:latest-0123456789abcdef"),
        (f"api:{'v' * 128}", f"api:{'v' * 111}-0123456789abcdef"),
    ],
)
def test_the_tag_on_a_host_carries_the_digest(ref: str, tag: str) -> None:
    assert tag_of(ref, "sha256:0123456789abcdef" + "0" * 48) == tag
