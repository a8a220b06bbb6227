"""What a container has whatever its Compose file says: logs that rotate, and no proxy of the host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sites import ONE, image, release, site, sources

from deployctl.desired import desired
from deployctl.desired.compose import PROXIES


def model(service: dict[str, Any], **config: Any) -> Any:
    given = release({"api": service})
    images = {"shop/api:1": image("shop/api:1", b"x", **config)}
    return desired(given, site(ONE), replace(sources(given), images=images)).hosts["srv1"].compose["services"]["api"]


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (None, {"max-size": "10m", "max-file": "3"}),
        ({"driver": "json-file", "options": {"max-size": "-1"}}, {"max-size": "10m", "max-file": "3"}),
        ({"driver": "json-file", "options": {"max-size": "0", "max-file": "0"}}, {"max-size": "10m", "max-file": "3"}),
        ({"driver": "local", "options": {"max-size": "1g"}}, {"max-size": "1g", "max-file": "3"}),
        ({"driver": "syslog", "options": {"tag": "x"}}, {"tag": "x"}),
    ],
)
def test_every_log_rotates(said: Any, options: dict[str, str]) -> None:
    assert model({"logging": said} if said else {})["logging"]["options"] == options


def test_a_proxy_is_in_a_container_only_if_the_vendor_or_the_image_says_so() -> None:
    kept_out = {word for name in PROXIES for word in (name, name.upper())}
    assert model({})["environment"] == dict.fromkeys(kept_out, "")
    said = model({"environment": {"HTTP_PROXY": "http://p", "LEVEL": "info"}}, Env=["no_proxy=x", "PATH=/bin"])["environment"]
    assert (said["HTTP_PROXY"], said["LEVEL"]) == ("http://p", "info")
    assert "no_proxy" not in said and said["http_proxy"] == ""
