"""other_version.py PROJECT NAME VERSION: pin NAME in requirements.txt to the release before VERSION, with its hash."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def main(project: Path, name: str, version: str) -> None:
    """Edit the file in place."""
    with tempfile.TemporaryDirectory() as folder:
        pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.13"]
        platforms = [f"--platform=manylinux{tag}_x86_64" for tag in ("2014", "_2_17", "_2_28")]
        subprocess.run([sys.executable, *pip, *platforms, f"--dest={folder}", f"{name}<{version}"], check=True)
        wheel = next(Path(folder).iterdir())
        older, digest = wheel.name.split("-")[1], hashlib.sha256(wheel.read_bytes()).hexdigest()
    path = project / "requirements.txt"
    text = path.read_text()
    pinned = re.compile(rf"^{re.escape(name)}==\S+( \\\n +--hash=\S+)+", re.MULTILINE | re.IGNORECASE)
    path.write_text(pinned.sub(f"{name}=={older} \\\\\n    --hash=sha256:{digest}", text, count=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
