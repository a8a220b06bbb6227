"""Files that are whole or as before, whatever stops the writer."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write beside, sync, rename. `mode` is what the umask leaves of it. A killed writer leaves NAME.partial. OSError."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)  # its mode may be another
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
