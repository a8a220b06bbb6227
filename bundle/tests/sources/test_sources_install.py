"""The bare-host installer, run as a site runs it: by a Python that knows nothing of us."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from vendors import Vendor

from deploybundle.sources import installer

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Stands in for pip: unpacks the wheels, after it was told to check hashes without a network.
PIP = """
import pathlib, sys, zipfile
words = sys.argv
assert "--no-index" in words and "--require-hashes" in words and "--isolated" in words
target = pathlib.Path(words[words.index("--target") + 1])
lines = pathlib.Path(words[words.index("--requirement") + 1]).read_text().splitlines()
assert all("--hash=sha256:" in line for line in lines)
for wheel in pathlib.Path(words[words.index("--find-links") + 1]).glob("*.whl"):
    zipfile.ZipFile(wheel).extractall(target)
"""
COMMAND = "import os, sys, thing; print(thing.WORD, os.environ['DEPLOYCTL_COMPOSE'], sys.argv[1:])"


def _wheel(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _collections(path: Path) -> Path:
    content = b"# a module\n"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("ansible_collections/community/docker/plugins/x.py")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def bundle(vendor: Vendor) -> Path:
    """A bundle with wheels for this Python, and tools."""
    files = {"thing.py": "WORD = 'hello'\n", "bin/deployctl": COMMAND}
    compose = vendor.home / "docker-compose"
    compose.write_bytes(b"compose")
    tools = {
        "installer": installer(),
        "pip": _wheel(vendor.home / "pip-1-py3-none-any.whl", {"pip/__main__.py": PIP}),
        "collections": _collections(vendor.home / "collections.tar"),
        "docker-compose": compose,
    }
    wheel = _wheel(vendor.home / "deployctl-0.1.0-py3-none-any.whl", files)
    vendor.build(tools=tools, wheels={PYTHON: [wheel]})
    return vendor.home / "dist" / "collector.bundle.tar"


def _install(bundle: Path, site: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(installer()), str(bundle), "--prefix", str(site / "opt"), "--bin", str(site / "bin")]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False)


def _tree(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_command_runs_with_its_own_libraries_and_compose(bundle: Path, tmp_path: Path) -> None:
    done = _install(bundle, tmp_path)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([tmp_path / "bin" / "deployctl", "status"], capture_output=True, text=True, check=True)
    home = (tmp_path / "opt" / "current").resolve()
    assert ran.stdout == f"hello {home}/tools/docker-compose ['status']\n"
    assert (home / "collections/ansible_collections/community/docker/plugins/x.py").is_file()
    assert (home / "tools/docker-compose").stat().st_mode & 0o777 == 0o755


def test_a_second_run_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    _install(bundle, tmp_path)
    before = _tree(tmp_path / "opt" / "current" / "lib")
    assert _install(bundle, tmp_path).returncode == 0
    assert _tree(tmp_path / "opt" / "current" / "lib") == before


def test_what_a_killed_installer_left_is_removed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "opt" / ".new-left").mkdir(parents=True)
    assert _install(bundle, tmp_path).returncode == 0
    assert not list((tmp_path / "opt").glob(".new-*"))


def _flipped(bundle: Path, at: bytes) -> bytes:
    data = bytearray(bundle.read_bytes())
    data[data.index(at)] ^= 1
    return bytes(data)


@pytest.mark.parametrize("content", [b"# a module", b"thing.py", b"pip/__main__.py"])
def test_a_flipped_bit_is_refused_and_leaves_nothing(bundle: Path, tmp_path: Path, content: bytes) -> None:
    bundle.write_bytes(_flipped(bundle, content))
    done = _install(bundle, tmp_path)
    assert done.returncode == 3 and "a damaged blob: expected sha256:" in done.stderr
    assert [path.name for path in (tmp_path / "opt").iterdir()] == [".lock"]


def test_a_bundle_cut_short_is_refused(bundle: Path, tmp_path: Path) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: len(data) // 2])
    done = _install(bundle, tmp_path)
    assert done.returncode == 3 and "refused" in done.stderr and "Traceback" not in done.stderr


def test_a_name_that_stands_twice_is_refused(bundle: Path, tmp_path: Path) -> None:
    """`tar -x` and Python would otherwise take different ones of two `index.json`."""
    with tarfile.open(bundle, "a") as tar:
        tar.addfile(tarfile.TarInfo("index.json"))
    done = _install(bundle, tmp_path)
    assert done.returncode == 3 and "twice" in done.stderr


def test_another_index_than_the_verified_one_is_refused(bundle: Path, tmp_path: Path) -> None:
    done = _install(bundle, tmp_path, "--index", "sha256:" + "0" * 64)
    assert done.returncode == 3 and "expected sha256:000" in done.stderr


def test_another_python_is_told_which_ones_there_are(vendor: Vendor, tmp_path: Path) -> None:
    wheel = vendor.wheels["3.11"]
    vendor.build(wheels={"3.8": wheel, "3.9": wheel})
    done = _install(vendor.home / "dist" / "collector.bundle.tar", tmp_path)
    assert done.returncode == 4 and f"is for Python 3.8, 3.9; this one is {PYTHON}" in done.stderr


def test_a_command_of_somebody_else_is_not_touched(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "deployctl").write_text("his")
    done = _install(bundle, tmp_path)
    assert done.returncode == 4 and "not ours" in done.stderr
    assert (tmp_path / "bin" / "deployctl").read_text() == "his"
