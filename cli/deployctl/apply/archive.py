"""The files of a host as the one archive that roles/files applies."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from deployctl.desired import File


def write_archive(path: Path, files: Mapping[str, File]) -> None:
    """Write the tar, readable by its owner only: secrets are in it. The same files make the same bytes."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            tar.addfile(_member(name, files[name]), io.BytesIO(files[name].content))


def _member(name: str, file: File) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name.lstrip("/"))
    member.mode, member.uid, member.gid = file.mode, file.uid, file.gid
    if file.folder:
        member.type = tarfile.DIRTYPE
    elif file.link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, file.link
    else:
        member.size = len(file.content)
    return member
