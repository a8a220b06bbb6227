"""deployctl's own wheel: what the vendor runs is what the site gets."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

from deploybundle.errors import InternalBug

_EPOCH = "315532800"  # 1980, the first year that a zip can say
_NOT_CARRIED = ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD", "uv_cache.json")


class OwnWheelNotBuilt(InternalBug):
    """hatchling refused our own checkout.

    Send us what it says, with `--debug`. A checkout that was changed by hand may be the cause.
    """

    code = "own-wheel"


def own_wheel(cache: Path) -> Path:
    """The wheel of the deployctl that runs: built from its checkout, or made again from what is installed."""
    installed = distribution("deployctl")
    folder = cache / "own"
    folder.mkdir(parents=True, exist_ok=True)
    checkout = _checkout(installed)
    return _built(checkout, folder) if checkout else _made_again(installed, folder)


def _checkout(installed: Distribution) -> Path | None:
    """The folder of an editable installation."""
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    editable = origin.get("dir_info", {}).get("editable")
    return Path(unquote(urlparse(origin["url"]).path)) if editable else None


def _built(checkout: Path, folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", work]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        found = list(Path(work).glob("*.whl"))
        if done.returncode or not found:
            raise OwnWheelNotBuilt(done.stderr.strip()[-500:], place=str(checkout))
        return found[0].replace(folder / found[0].name)


def _made_again(installed: Distribution, folder: Path) -> Path:
    wheel = folder / f"deployctl-{installed.version}-py3-none-any.whl"
    record = f"deployctl-{installed.version}.dist-info/RECORD"
    partial = wheel.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as target:
        lines = []
        for name, content in _installed_files(installed):
            target.writestr(_entry(name), content)
            lines.append(f"{name},sha256={_urlsafe(content)},{len(content)}\n")
        target.writestr(_entry(record), "".join([*lines, f"{record},,\n"]))
    return partial.replace(wheel)


def _installed_files(installed: Distribution) -> Iterator[tuple[str, bytes]]:
    for path in sorted(installed.files or [], key=str):
        beside = path.parts[0] == ".."  # scripts, which an installer makes anew
        if not beside and path.name not in _NOT_CARRIED and "__pycache__" not in path.parts:
            yield path.as_posix(), path.read_binary()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
