"""client.yml: what is refused, how it is said and where; and what its answers become."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploybundle.errors import DeployctlError
from deployctl.site import ClientSettings, read_client
from deployctl.site.client import ClientInvalid

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "client_refused.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "client.yml"
    file.write_bytes(bytes.fromhex(case["bytes"]) if "bytes" in case else case["client"].encode())
    with pytest.raises(ClientInvalid) as caught:
        read_client(file)
    wanted = case["says"].replace("{file}", str(file))
    if wanted.startswith("regex:"):
        assert re.match(wanted.removeprefix("regex:"), str(caught.value))
    else:
        assert "\n".join(map(told, caught.value.problems or [caught.value])) == wanted


def told(problem: DeployctlError) -> str:
    """A problem on a line, with its hint where it is about this very key."""
    own = problem.hint.startswith(("did you mean", "known are"))
    return f"{problem}; {problem.hint}" if own else str(problem)


def test_a_refusal_says_where_all_keys_are_shown(tmp_path: Path) -> None:
    (tmp_path / "client.yml").write_text("title: [Acme]")
    with pytest.raises(ClientInvalid) as caught:
        read_client(tmp_path / "client.yml")
    assert caught.value.hint == "docs/reference/client.md has all keys"


def test_no_file_and_an_empty_one_answer_nothing(tmp_path: Path) -> None:
    (tmp_path / "client.yml").write_text("# nothing yet\n")
    assert read_client(tmp_path / "client.yml") == read_client(tmp_path / "none.yml") == ClientSettings()


@pytest.mark.parametrize(
    ("written", "given"),
    [("true", "true"), ("8", "8"), ("1.5", "1.5"), ('"yes"', "yes"), ("''", ""), ("2026-01-02", "2026-01-02")],
)
def test_settings_reach_compose_as_text(written: str, given: str, tmp_path: Path) -> None:
    (tmp_path / "client.yml").write_text(f"settings: {{X: {written}}}")
    assert read_client(tmp_path / "client.yml").settings == {"X": given}


def test_every_key_has_a_place_in_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "client.yml").write_text(
        """
title: Acme Bank
place: {postgres: internal, api: [app1, app2]}
segments: {dmz: {cidr: 10.77.0.0/20}}
networks: {clients: {cidr: [10.77.50.0/24]}}
ports: {nginx: {8443: 443}}
resources: {api: {memory: 512m, cpus: 1.5}}
profiles: [reports]
pool: 10.200.0.0/16
"""
    )
    read = read_client(tmp_path / "client.yml")
    assert read.place == {"postgres": ["internal"], "api": ["app1", "app2"]}
    assert read.ports == {"nginx": {8443: 443}}
    assert (read.resources["api"].memory, read.resources["api"].cpus) == ("512m", 1.5)
    assert (read.pool, read.segments["dmz"].cidr) == (IPv4Network("10.200.0.0/16"), IPv4Network("10.77.0.0/20"))
