"""The folder of plans and secrets: private, and gone however the run ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.apply.work import PREFIX, work_folder


def test_the_work_folder_is_private_and_gone_afterwards() -> None:
    with work_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_what_a_killed_run_left_is_removed_and_a_living_ones_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "db1.tar").write_text("secret")
    with work_folder() as living, work_folder() as other:
        assert set(tmp_path.iterdir()) == {living, other}
    assert not list(tmp_path.iterdir())
