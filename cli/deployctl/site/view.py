"""A view of an inventory folder without its encrypted files.

Ansible decrypts every file below group_vars before it says a host's address. We read secrets apart from it, so that
`status` needs no password and no secret becomes an Ansible variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

VAULT_HEADER = b"$ANSIBLE_VAULT;"


def inventory_view(folder: Path, into: Path) -> Path:
    """Fill `into` with links to the inventory's files, encrypted ones and our own state left out; return it."""
    for source in inventory_files(folder):
        link = into / source.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())
    return into


def encrypted(path: Path) -> bool:
    """Whether Ansible Vault wrote this file."""
    with path.open("rb") as file:
        return file.read(len(VAULT_HEADER)) == VAULT_HEADER


def inventory_files(folder: Path) -> Iterator[Path]:
    """The inventory's own files, without encrypted ones, our state and what we pin."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name.startswith("known_hosts") or entry.suffix == ".md":
            continue
        if entry.is_dir():
            yield from inventory_files(entry)
        elif not encrypted(entry):
            yield entry
