"""Whatever stands in client.yml, hosts.yml or compose.yaml: a site or a release comes out, or an error of the catalogue."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploybundle.errors import DeployctlError
from deploybundle.release import load
from deploybundle.sources import compose_binary
from deployctl.commands.catalogue import catalogue
from deployctl.site import load_site, read_client
from deployctl.site.client import ClientSettings

CODES = catalogue()
ODD = " a.b ${NAME} ${NAME:?} 10.0.0.1 10.0.0.0/24 10.0.0.1/24 ::1 0x1F 1:2 web:80 web:80/udp * 512m 30s /../x é yes << !reset"
NAMED = (
    "cidr address memory cpus backend version targets config flows from to kind segment migrate state hosts vars children"
    " ansible_host ansible_port"
)
HOSTILE = (
    "a: &a [*a]", "a: &a {b: *a}",
    "? [1]\n: 2", "a: !!python/object:os.system x", "\x00", "a: !vault |\n  x", "- a", "---\n---\n",
    "[" * 500,
)  # fmt: skip
WORDS = st.sampled_from(ODD.split(" "))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | WORDS | st.text(max_size=8)
KEYS = st.sampled_from([*ClientSettings.model_fields, *NAMED.split()]) | WORDS


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)


VALUES = st.recursive(SCALARS, nested, max_leaves=12)
TREES = st.dictionaries(KEYS, VALUES, max_size=5)
WRITTEN = TREES.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True))
TEXTS = WRITTEN | st.text(max_size=60) | st.sampled_from(HOSTILE)
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@contextlib.contextmanager
def only_ours() -> Any:
    """Nothing else may come out than an error that is in the catalogue, with words of its own."""
    try:
        yield
    except DeployctlError as error:
        assert error.code in CODES
        assert str(error).strip()


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(text=TEXTS)
def test_no_client_yml_makes_a_traceback(text: str, tmp_path: Path) -> None:
    (tmp_path / "client.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with only_ours():
        read_client(tmp_path / "client.yml")


@settings(max_examples=8, deadline=None, suppress_health_check=SLOW)
@given(text=TEXTS)
def test_no_hosts_yml_makes_a_traceback(text: str, tmp_path: Path) -> None:
    """Ansible reads it, which takes most of a second."""
    folder = tmp_path / "acme"
    folder.mkdir(exist_ok=True)
    (folder / "hosts.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with only_ours():
        load_site(folder)


@pytest.fixture(scope="module")
def binary() -> Path:
    try:
        return compose_binary()
    except DeployctlError:
        pytest.skip("no Compose here")


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(top=VALUES, service=VALUES)
def test_no_x_deployctl_makes_a_traceback(top: Any, service: Any, binary: Path, tmp_path: Path) -> None:
    web = {"image": "shop/web:1", "expose": ["80"], "x-deployctl": service}
    content = {"name": "shop", "x-deployctl": top, "services": {"web": web, "db": {"image": "shop/db:1"}}}
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    with only_ours():
        load(tmp_path, compose_binary=binary, version="1.0.0")


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(text=TEXTS)
def test_no_compose_yaml_makes_a_traceback(text: str, binary: Path, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with only_ours():
        load(tmp_path, compose_binary=binary, version="1.0.0")
