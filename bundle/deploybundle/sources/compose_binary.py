"""Compose's binary on this machine: the bundle carries it, and it reads compose.yaml at both ends."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploybundle.errors import InputError

VARIABLE = "DEPLOYCTL_COMPOSE"
"""Where the installed launcher says that its own binary lies."""

PLUGIN_DIRS = (
    "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
    "~/.docker/cli-plugins",
)  # fmt: skip
"""The system's before the user's: a stale plugin there often shadows the packaged one."""

MINIMUM = (2, 20)
"""The first that knows `include`."""


class ComposeNotFound(InputError):
    """No Compose binary on this machine.

    Install the Compose plugin: `apt-get install docker-compose` on Debian 13, `docker-compose-plugin` from Docker.
    """

    code = "compose-not-found"


class ComposeTooOld(InputError):
    """The Compose binary is older than the files that it would have to read.

    Install a newer Compose plugin; the message says which.
    """

    code = "compose-too-old"


def compose_binary(folders: Sequence[str] = PLUGIN_DIRS) -> Path:
    """The Compose v2 binary to use; raises ComposeNotFound or ComposeTooOld."""
    named = os.environ.get(VARIABLE)
    candidates = [Path(named)] if named else [Path(folder).expanduser() / "docker-compose" for folder in folders]
    for path in candidates:
        if os.access(path, os.X_OK):
            _check_version(path)
            return path
    hint = "install the package docker-compose-plugin, or Debian 13's docker-compose"
    raise ComposeNotFound(f"looked for {', '.join(map(str, candidates))}", place="Compose", hint=hint)


def _check_version(path: Path) -> None:
    done = subprocess.run([path, "version", "--short"], env={}, capture_output=True, text=True, check=False)
    found = re.match(r"v?(\d+)\.(\d+)", done.stdout.strip())
    if not found or (int(found[1]), int(found[2])) < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise ComposeTooOld(f"expected {wanted} or newer, got {done.stdout.strip() or 'no answer'}", place=str(path))
