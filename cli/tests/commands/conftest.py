"""The command line as a person uses it: words in; exit code, stdout and stderr out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from said import Deployctl, Said

from deployctl.commands.main import _run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's own folders, empty, and nobody at the terminal."""
    for name in ("DEPLOYCTL_CLIENT", "DEPLOYCTL_INVENTORIES", "DEPLOYCTL_DEBUG", "ANSIBLE_VAULT_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return tmp_path


@pytest.fixture
def deployctl(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Deployctl:
    """Run it."""

    def run(*words: object) -> Said:
        monkeypatch.setattr("sys.argv", ["deployctl", *map(str, words)])
        capsys.readouterr()
        code = _run()
        return Said(int(code), *capsys.readouterr())

    return run
