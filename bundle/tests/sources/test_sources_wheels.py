"""Locks read for another Python; cached wheels that are checked, and never fetched when they hold."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from deploybundle.sources import PYTHONS, WheelsNotFetched, compose_binary, own, own_wheel, wheels
from deploybundle.sources.compose_binary import VARIABLE, ComposeNotFound, ComposeTooOld
from deploybundle.sources.locks import read_lock
from deploybundle.sources.wheels import _digest as cache_digest

LOCKS = Path(__file__).parents[3] / "locks"


@pytest.mark.parametrize(("python", "core"), [("3.11", "2.19."), ("3.13", "2.2")])
def test_each_python_gets_its_ansible(python: str, core: str) -> None:
    """Both from the lock that holds both, whatever Python runs this test."""
    pinned = {entry.name: entry.version for entry in read_lock(LOCKS / "site-py311.txt", python)}
    assert pinned["ansible-core"].startswith(core)
    assert "colorama" not in pinned


@pytest.mark.parametrize("python", PYTHONS)
def test_every_pin_has_digests(python: str) -> None:
    assert all(entry.digests for entry in read_lock(LOCKS / f"site-py{python.replace('.', '')}.txt", python))


def _cached(tmp_path: Path) -> tuple[Path, Path]:
    content = b"a wheel"
    lock = tmp_path / "lock.txt"
    lock.write_text(f"thing==1.0 \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    folder = tmp_path / "cache" / "wheels" / f"py3.11-{cache_digest(read_lock(lock, '3.11'))}"
    folder.mkdir(parents=True)
    (folder / "thing-1.0-py3-none-any.whl").write_bytes(content)
    return lock, folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")


@pytest.mark.usefixtures("offline")
def test_a_cached_wheel_is_not_fetched_again(tmp_path: Path) -> None:
    lock, folder = _cached(tmp_path)
    assert wheels("3.11", lock, tmp_path / "cache") == [folder / "thing-1.0-py3-none-any.whl"]


@pytest.mark.usefixtures("offline")
def test_a_damaged_wheel_is_never_used(tmp_path: Path) -> None:
    lock, folder = _cached(tmp_path)
    (folder / "thing-1.0-py3-none-any.whl").write_bytes(b"another")
    with pytest.raises(WheelsNotFetched, match="thing"):
        wheels("3.11", lock, tmp_path / "cache")


def test_our_own_wheel_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = (own_wheel(tmp_path / name) for name in ("one", "two"))
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert {"deploybundle/sources/install.py", "deployctl/data/locks/site-py311.txt"} <= set(names)


def test_a_checkout_that_is_no_wheel_is_told_with_hatchlings_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable installation whose pyproject.toml somebody has broken."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "deployctl"\n')
    monkeypatch.setattr(own, "_checkout", lambda installed: tmp_path)
    with pytest.raises(own.OwnWheelNotBuilt, match="version") as caught:
        own_wheel(tmp_path / "cache")
    assert caught.value.place == str(tmp_path)


def test_no_compose_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ComposeNotFound, match=str(tmp_path)):
        compose_binary([str(tmp_path)])


def test_an_old_compose_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "docker-compose"
    old.write_text("#!/bin/sh\necho 1.29.2\n")
    old.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(old))
    with pytest.raises(ComposeTooOld, match=r"expected 2\.20 or newer, got 1\.29\.2"):
        compose_binary()
