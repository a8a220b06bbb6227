"""What is refused, and how it is said: every case of refused.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploybundle.release import ComposeRefused, ReleaseInvalid, load
from deploybundle.sources import compose_binary

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "refused.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name, text in {"compose.yaml": "name: shop\n" + case["compose"], **case.get("files", {})}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    with pytest.raises((ReleaseInvalid, ComposeRefused)) as caught:
        load(project, compose_binary=compose_binary())
    if isinstance(caught.value, ReleaseInvalid):
        said = sorted(str(problem).replace(str(tmp_path), "{outside}") for problem in caught.value.found)
        assert said == sorted(case["problems"])
    else:
        assert str(caught.value) == case["refused"]
