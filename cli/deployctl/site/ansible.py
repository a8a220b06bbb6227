"""Ansible's programs, as processes of their own: its code is under another licence, and its settings are not ours."""

from __future__ import annotations

import os
import sys
import tempfile


def ansible_program(name: str) -> list[str]:
    """The argv of one of Ansible's programs, of the ansible-core that this Python has."""
    return [sys.executable, "-m", f"ansible.cli.{name.removeprefix('ansible-')}"]


def ansible_environment() -> dict[str, str]:
    """Our environment, without the settings that would give Ansible a vault password of its own.

    Its scratch files go where ours go: a home may be read-only.
    """
    given = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_VAULT")}
    return {"ANSIBLE_LOCAL_TEMP": tempfile.gettempdir(), **given}
