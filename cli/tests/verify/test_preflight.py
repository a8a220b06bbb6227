"""Preflight: every kind of problem, as a person reads it, with its remedy; and none where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sites import ONE, bare, image, installed, release, site, sources

from deploybundle.errors import SiteError
from deployctl.desired import desired
from deployctl.plan import plan
from deployctl.verify import PreflightFailed, mib, preflight

SHOP = release({"api": {"mem_limit": "1073741824"}, "db": {"deploy": {"resources": {"limits": {"memory": "512m"}}}}},
               [("any", "api", 8000), ("any", "db", 53, "udp")])  # type: ignore[list-item]  # fmt: skip
SOURCES = sources(SHOP)
SHALL = desired(SHOP, site(ONE), SOURCES)
DOCKER = bare()["docker"]
TRIXIE = {"id": "debian", "version": "13"}
G = 2**30


def problems(facts: dict[str, Any], images: Any = SOURCES.images) -> list[str]:
    steps = plan(SHALL, {"srv1": facts}, images, "acme", "b", "i")
    return [f"{each}\n    → {each.hint}" for each in preflight(SHALL, steps, {"srv1": facts}, images, "10.213.0.0/16")]


def network(*subnets: str, project: str = "") -> dict[str, Any]:
    return {"networks": [{"name": "n", "project": project, "subnets": list(subnets)}]}


def listens(*addresses: str, protocol: str = "tcp", port: int = 8000) -> dict[str, Any]:
    return {"listening": [{"protocol": protocol, "address": each, "port": port} for each in addresses]}


@pytest.mark.parametrize(
    ("facts", "says", "remedy"),
    [
        ({"docker": DOCKER | {"problem": "nothing at /run/docker.sock", "version": ""}},
         "no Docker engine: nothing at /run/docker.sock",
         "install it: apt-get install docker.io"),
        ({"docker": DOCKER | {"problem": "nothing at /run/docker.sock", "version": ""}, "os": TRIXIE},
         "no Docker engine: nothing at /run/docker.sock",
         "have the bundle built with targets: [debian-13] in compose.yaml, or install it: apt-get install docker.io"),
        ({"docker": DOCKER | {"problem": "nothing at /run/docker.sock", "version": ""}, "packages": {"docker-ce": "5:29"}},
         "no Docker engine: nothing at /run/docker.sock",
         "docker-ce is installed, and is not replaced: start it (systemctl enable --now docker), or remove it"),
        ({"compose": "", "packages": {"docker-compose": "1.29.2-3"}}, "no `docker compose`",
         "the installed docker-compose is of another kind, and is not replaced: remove it, or install docker-compose-plugin"),
        ({"docker": DOCKER | {"version": "19.03.15"}}, "Docker 19.03.15 is too old; expected 20.10 or newer",
         "upgrade the engine"),
        ({"compose": ""}, "no `docker compose`", "install it: apt-get install docker-compose"),
        ({"compose": "", "packages": {"docker-compose": "2.26.1-4"}}, "no `docker compose`",
         "docker-compose 2.26.1-4 is installed, yet its plugin is gone: apt-get install --reinstall docker-compose"),
        ({"compose": "2.17.3"}, "Compose 2.17.3 is too old; expected 2.18 or newer", "upgrade docker-compose"),
        ({"compose": "2.2.0"}, "Compose 2.2.0 is too old; expected 2.18 or newer", "upgrade docker-compose"),
        ({"python": "3.8.10"}, "Python 3.8.10 is too old; expected 3.9 or newer", "upgrade python3"),
        ({"tools": {"nftables": False, "iptables": True}}, "no nftables, which isolation needs",
         "install it: apt-get install nftables"),
        ({"free": bare()["free"] | {"docker": 200 * 2**20}},
         "too little disk in /var/lib/docker: 200 MiB free, 256 MiB needed", "free 56 MiB there"),
        ({"free": bare()["free"] | {"/etc": 1024}}, "too little disk in /etc: 1 KiB free, 1 MiB needed", "free 1 MiB there"),
        ({"free": bare()["free"] | {"/var/lib": 0}}, "too little disk in /var/lib: 0 KiB free, 1 MiB needed",
         "free 1 MiB there"),
        ({"memory": G}, "too little memory: 1,024 MiB, its services may use 1,536 MiB",
         "give the machine more, or lower resources in client.yml"),
        (listens("0.0.0.0"), "port 8000/tcp is in use: something listens on 0.0.0.0:8000",  # noqa: S104
         "stop it (ss -lp 'sport = :8000'), or choose another in client.yml: ports"),
        (listens("10.78.10.11", "127.0.0.1"), "port 8000/tcp is in use: something listens on 10.78.10.11:8000",
         "stop it (ss -lp 'sport = :8000'), or choose another in client.yml: ports"),
        (listens("::", protocol="udp", port=53), "port 53/udp is in use: something listens on :::53",
         "stop it (ss -lp 'sport = :53'), or choose another in client.yml: ports"),
        ({"routes": ["10.0.0.0/8", "172.16.0.0/12"]}, "172.16.0.0/12 is in use there and lies in the pool 172.30.0.0/20",
         "write into client.yml: pool: 10.213.0.0/16"),
        (network("172.30.3.0/24", project="other"), "172.30.3.0/24 is in use there and lies in the pool 172.30.0.0/20",
         "write into client.yml: pool: 10.213.0.0/16"),
        ({"ahead": 95.4}, "its clock is 95 s ahead of this machine's", "set the clock of the one that is wrong"),
        ({"ahead": -31.0}, "its clock is 31 s behind this machine's", "set the clock of the one that is wrong"),
    ],
)  # fmt: skip
def test_each_problem_comes_with_its_remedy(facts: dict[str, Any], says: str, remedy: str) -> None:
    assert problems(bare(**facts)) == [f"srv1: {says}\n    → {remedy}"]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"docker": DOCKER | {"version": "20.10.24+dfsg1"}, "compose": "2.18.0", "python": "3.9.2"},
        {"docker": DOCKER | {"version": "29.0.0-rc.1"}},
        {"memory": 3 * G // 2},
        listens("127.0.0.1"),
        listens("::1"),
        listens("127.0.0.53"),
        listens("::ffff:127.0.0.1"),
        listens("0.0.0.0", port=9000),  # noqa: S104
        listens("0.0.0.0", protocol="udp"),  # noqa: S104
        network("172.30.3.0/28", project="shop") | {"routes": ["172.30.3.0/28"]},
        network("172.17.0.0/16", "fd00::/64"),
        {"ahead": 29.0},
        {"ahead": -29.0},
    ],
)
def test_what_is_no_problem_is_not_told(facts: dict[str, Any]) -> None:
    assert problems(bare(**facts)) == []


def test_a_full_disk_is_no_problem_where_nothing_is_to_be_written() -> None:
    facts = installed(SHALL, SHALL.hosts["srv1"], SOURCES.images) | {"free": dict.fromkeys(bare()["free"], 0)}
    assert problems(facts) == []


def test_an_image_for_another_machine_is_told() -> None:
    arm = {ref: image(ref, b"x", architecture="arm64") for ref in SOURCES.images}
    said = problems(bare(), arm)
    assert said[0] == "srv1: shop/api:1 is for arm64, the host is x86_64\n    → build the bundle for this machine"
    assert len(said) == 2
    assert problems(bare(arch="aarch64"), arm) == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"docker": DOCKER | {"problem": "gone", "version": ""}}, "no-docker"),
        ({"docker": DOCKER | {"version": "19.03.15"}}, "host-engine-too-old"),
        ({"compose": ""}, "host-compose-missing"),
        ({"compose": "2.2.0"}, "host-compose-too-old"),
        ({"python": "3.8.10"}, "host-python-too-old"),
        ({"tools": {"nftables": False, "iptables": True}}, "host-tool-missing"),
        ({"arch": "riscv64"}, "host-architecture"),
        ({"free": bare()["free"] | {"/etc": 1024}}, "host-disk"),
        ({"memory": G}, "host-memory"),
        (listens("0.0.0.0"), "port-taken"),  # noqa: S104
        ({"routes": ["172.16.0.0/12"]}, "pool-taken"),
        ({"ahead": 95.4}, "clock-skewed"),
    ],
)
def test_each_problem_has_its_code(facts: dict[str, Any], code: str) -> None:
    steps = plan(SHALL, {"srv1": bare(**facts)}, SOURCES.images, "acme", "b", "i")
    found = preflight(SHALL, steps, {"srv1": bare(**facts)}, SOURCES.images, "172.30.0.0/20")
    assert {one.code for one in found} == {code}


def test_the_disk_needed_is_twice_what_is_unpacked_and_a_reserve() -> None:
    big = {
        ref: replace(each, layers=tuple(replace(one, raw_size=G) for one in each.layers))
        for ref, each in SOURCES.images.items()
    }
    free = bare()["free"]
    needed = 2 * 3 * G + 256 * 2**20  # the base once
    assert problems(bare(free=free | {"docker": needed}), big) == []
    assert "6,400 MiB needed" in problems(bare(free=free | {"docker": needed - 1}), big)[0]


def test_all_problems_come_at_once_and_end_with_the_site_s_exit_code() -> None:
    two = {"srv1": bare(compose="", python="3.7")}
    steps = plan(SHALL, two, SOURCES.images, "acme", "b", "i")
    silent = SiteError("does not answer", place="srv2", hint="is it on?")
    failed = PreflightFailed([silent, *preflight(SHALL, steps, two, SOURCES.images, "10.213.0.0/16")])
    assert [each.place for each in failed.problems] == ["srv2", "srv1", "srv1"]
    assert str(failed).startswith("3 to mend before anything changes\n  srv2: does not answer\n  srv1: no `docker")
    assert failed.exit_code == 4


@pytest.mark.parametrize(("size", "text"), [(0, "0 KiB"), (2048, "2 KiB"), (2**20, "1 MiB"), (5 * G, "5,120 MiB")])
def test_sizes_are_told_in_words_of_a_machine_room(size: int, text: str) -> None:
    assert mib(size) == text


@pytest.mark.parametrize(
    ("limit", "fits"), [("8g", True), ("8gb", True), ("8193m", False), ("9000000k", False), ("0", True), (str(8 * G), True)]
)
def test_limits_are_read_in_compose_s_units(limit: str, fits: bool) -> None:
    given = release({"api": {"mem_limit": limit}})
    shall = desired(given, site(ONE), sources(given))
    facts = {"srv1": bare(memory=8 * G)}
    images = sources(given).images
    found = preflight(shall, plan(shall, facts, images, "acme", "b", "i"), facts, images, "10.213.0.0/16")
    assert (not found) == fits, json.dumps([str(each) for each in found])
