"""What Ansible is told besides the plan itself."""

from __future__ import annotations

from deployctl.apply.stage import _unwatched


def test_who_has_his_check_switched_off_is_started_and_not_waited_for() -> None:
    services = {
        "plain": {},
        "checked": {"healthcheck": {"test": ["CMD", "true"]}},
        "off": {"healthcheck": {"disable": True}},
        "none": {"healthcheck": {"test": ["NONE"]}},
    }
    assert _unwatched({"services": services}) == ["none", "off"]
