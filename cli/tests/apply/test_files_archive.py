"""roles/files' module, run as Ansible runs it: a program with its arguments as JSON on stdin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployctl.apply import write_archive
from deployctl.desired import File

MODULE = Path(__file__).parents[3] / "roles/files/library/files_archive.py"
ME = {"uid": os.getuid(), "gid": os.getgid()}


def apply(tmp_path: Path, files: dict[str, File], remove: list[str] | None = None, **ansible: bool) -> dict[str, Any]:
    archive = tmp_path / "archive.tar"
    write_archive(archive, {f"{tmp_path}/{name}": file for name, file in files.items()})
    assert archive.stat().st_mode & 0o777 == 0o600
    removed = [f"{tmp_path}/{name}" for name in remove or []]
    more = {f"_ansible_{name}": value for name, value in ansible.items()}
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"archive": str(archive), "remove": removed, **more}})
    wrapper = (
        "import ansible.module_utils.basic as b, runpy, sys; b._ANSIBLE_PROFILE = 'legacy'; "
        "b._ANSIBLE_ARGS = sys.stdin.buffer.read(); runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", wrapper, str(MODULE)],
        input=arguments,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not archive.exists(), done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def wanted(version: str) -> dict[str, File]:
    return {
        "etc/app.conf": File(b"port = 1\n", **ME),
        f"secrets/..{version}/pw": File(b"CANARY" + version.encode(), mode=0o400, secret=True, **ME),
        "secrets/..data": File(link=f"..{version}", **ME),
        "secrets/pw": File(link="..data/pw", **ME),
    }


def test_the_second_time_nothing_changes(tmp_path: Path) -> None:
    first = apply(tmp_path, wanted("v1"))
    assert first["changed"]
    assert (tmp_path / "secrets/pw").read_text() == "CANARYv1"
    before = (tmp_path / "etc/app.conf").stat()
    second = apply(tmp_path, wanted("v1"))
    assert (second["changed"], second["written"]) == (False, [])
    assert (tmp_path / "etc/app.conf").stat().st_ino == before.st_ino


def test_a_rotated_secret_swaps_the_link_and_the_old_one_goes(tmp_path: Path) -> None:
    apply(tmp_path, wanted("v1"))
    result = apply(tmp_path, wanted("v2"), remove=["secrets/..v1/pw"])
    assert (tmp_path / "secrets/pw").read_text() == "CANARYv2"
    assert result["removed"] == [f"{tmp_path}/secrets/..v1/pw"]
    assert f"{tmp_path}/etc/app.conf" not in result["written"]


def test_check_mode_changes_nothing_and_no_secret_is_in_the_diff(tmp_path: Path) -> None:
    result = apply(tmp_path, wanted("v1"), check_mode=True, diff=True)
    assert result["changed"]
    assert not (tmp_path / "secrets").exists()
    assert "CANARY" not in json.dumps(result)
    assert "port = 1" in json.dumps(result["diff"])


def test_a_mode_that_somebody_changed_is_set_right(tmp_path: Path) -> None:
    apply(tmp_path, wanted("v1"))
    (tmp_path / "secrets/..v1/pw").chmod(0o444)
    assert apply(tmp_path, wanted("v1"))["written"] == [f"{tmp_path}/secrets/..v1/pw"]
    assert (tmp_path / "secrets/..v1/pw").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("name", ["../outside", "a/../../b"])
def test_a_name_that_climbs_is_refused(tmp_path: Path, name: str) -> None:
    answer = apply(tmp_path, {name: File(b"x", **ME)})
    assert answer["failed"]
    assert "no file, link or folder below /" in answer["msg"]
