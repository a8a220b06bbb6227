"""The Ansible collections that our roles use, out of the one pinned wheel that holds them all.

`ansible-galaxy` asks its server even for local archives, so it is never called.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploybundle.whole import write_whole

from .locks import read_lock
from .wheels import PYTHONS, pip_wheel

COLLECTIONS = ("community.docker", "community.library_inventory_filtering_v1")
"""What our roles use, and what that needs."""

ROOT = "ansible_collections"
_LEFT_OUT = ("tests", "docs", "changelogs", ".github", ".azure-pipelines", ".reuse")


def collections(lock: Path, cache: Path) -> Path:
    """One tar with the same bytes each time; its top folder is `ansible_collections`."""
    pinned = read_lock(lock, PYTHONS[0])[0]
    tar = cache / "collections" / f"collections-{pinned.version}-{len(COLLECTIONS)}.tar"
    content = _tar(pip_wheel(lock, cache))
    if not tar.is_file() or tar.read_bytes() != content:
        tar.parent.mkdir(parents=True, exist_ok=True)
        write_whole(tar, content)
    return tar


def _tar(wheel: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(wheel) as source, tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in _wanted(source):
            content = source.read(name)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _wanted(wheel: zipfile.ZipFile) -> Iterator[str]:
    folders = [f"{ROOT}/{name.replace('.', '/')}/" for name in COLLECTIONS]
    for name in sorted(wheel.namelist()):
        folder = next((folder for folder in folders if name.startswith(folder)), None)
        if folder and name.removeprefix(folder).split("/")[0] not in _LEFT_OUT and not name.endswith("/"):
            yield name
