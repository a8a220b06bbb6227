"""The same input makes the same bundle, whoever builds it, when and where: only signatures and their time differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from layouts import Layout
from vendors import BASE, NGINX

from deploybundle.open import open_bundle
from places import ROOT, Vendor

pytestmark = pytest.mark.e2e
COMPOSE = """\
name: shop
x-deployctl:
  version: 1.0.0
  targets: [debian-13]
  config: config/
  flows: [{from: clients, to: front:8080}]
services:
  front: {image: "shop/front:1", expose: [8080], volumes: ["./config/front.conf:/front.conf:ro"], x-deployctl: {segment: dmz}}
  queue: {image: "collector/redis:8", x-deployctl: {segment: dmz}}
"""
FETCHED = ("packages", "wheels", "tools", "collections")  # what others made; the rest of the cache is made anew


def project(folder: Path) -> Path:
    (folder / "config").mkdir(parents=True)
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "config/front.conf.j2").write_text("# {{ site }}\n")
    one = Layout()
    one.name(one.image([BASE, NGINX]), ref="shop/front:1")
    one.folder(folder / "images")
    return folder


def build(command: list[str], folder: Path, environment: Mapping[str, str]) -> Path:
    """A child builds in a folder."""
    words = [*command, str(Path(sys.executable).parent / "deployctl"), "bundle", ".", "--images", "images", "--json"]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / str(json.loads(done.stdout)["path"])


@pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime here: scripts/readers")
def test_another_clock_umask_locale_time_zone_home_folder_and_number_of_cores(vendor: Vendor, tmp_path: Path) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME", ROOT / ".cache")) / "deployctl"
    one = build([], project(tmp_path / "one"), {"XDG_CONFIG_HOME": str(vendor.home)})
    for name in filter(lambda name: (cache / name).exists(), FETCHED):
        shutil.copytree(cache / name, tmp_path / "cache/deployctl" / name, copy_function=os.link)
    elsewhere = project(tmp_path / "far" / "away" / "two")
    for path in elsewhere.rglob("*"):
        os.utime(path, (1, 1))
    other = {"XDG_CONFIG_HOME": str(vendor.home), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path),
             "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}  # fmt: skip
    changed = ["faketime", "2031-05-05 03:00:00", "taskset", "-c", "0", "sh", "-c", 'umask 077; exec "$@"', "sh"]
    two = build(changed, elsewhere, other)
    assert one != two
    first, second = open_bundle(one, None), open_bundle(two, None)
    assert second.index == first.index, _differing(json.loads(first.index), json.loads(second.index))
    assert {digest: at.size for digest, at in second.blobs.items()} == {digest: at.size for digest, at in first.blobs.items()}
    said = [each.read(digest) for each in (first, second) for digest in sorted(first.blobs) if first.blobs[digest].size < 4096]
    assert said[: len(said) // 2] == said[len(said) // 2 :]


def _differing(one: dict[str, list[dict[str, str]]], two: dict[str, list[dict[str, str]]]) -> list[str]:
    """Which manifests are not the same."""
    pairs = zip(one["manifests"], two["manifests"], strict=True)
    return [str(first.get("artifactType") or first["annotations"]) for first, second in pairs if first != second]
