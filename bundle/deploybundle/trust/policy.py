"""Whom this machine trusts: a folder of public keys."""

from __future__ import annotations

import os
from pathlib import Path

from deploybundle.trust.keys import PublicKey


def trusted_folder() -> Path:
    """Where the trusted keys lie unless somebody says otherwise: ~/.config/deployctl/trusted."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "deployctl" / "trusted"


def load_trusted(folder: Path | None = None) -> tuple[PublicKey, ...]:
    """Every `*.pub` of the folder, by file name; none if there is no folder. KeyProblem if a file is no key."""
    return tuple(PublicKey.load(path) for path in sorted((folder or trusted_folder()).glob("*.pub")))


def add_trusted(key: PublicKey, name: str, folder: Path | None = None) -> Path:
    """Trust a key from now on, as `name`.pub. Returns the file."""
    folder = folder or trusted_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"{name}.pub"
    partial = target.with_name(target.name + ".partial")
    partial.write_text(f"{key.ssh_line} {name}\n")
    partial.replace(target)
    return target
