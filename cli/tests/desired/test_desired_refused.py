"""What a site cannot have, and how it is said: every case of refused.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from sites import ACME, CLIENT_YML, ONE, release, site, sources

from deploybundle.errors import InputError
from deployctl.desired import desired

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "refused.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_is_refused(case: dict[str, Any]) -> None:
    given = release(case["services"], [tuple(flow) for flow in case.get("flows", ())], settings=case.get("settings", {}))
    where = site(ONE if case.get("one_host") else ACME, **case.get("client", {}))
    files = {name: text.encode() for name, text in case.get("files", {}).items()}
    files |= {name: bytes.fromhex(text) for name, text in case.get("binary", {}).items()}
    with pytest.raises(InputError) as caught:
        desired(given, where, sources(given, files, **dict.fromkeys(given.secrets, "canary")))
    said = str(caught.value).replace(CLIENT_YML, "{client}")
    assert caught.value.code == case["code"]
    assert caught.value.exit_code == 1
    if case["says"].startswith("regex:"):
        assert re.match(case["says"].removeprefix("regex:"), said)
    else:
        assert said == case["says"]
    assert caught.value.hint.replace(CLIENT_YML, "{client}") == case.get(
        "hint", caught.value.hint.replace(CLIENT_YML, "{client}")
    )
    assert "canary" not in said + caught.value.hint
