"""A secret shows itself to `reveal` only."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pprint import pformat
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployctl.secrets import Secret

CANARY = "canary-5f2a"


@dataclass
class Holder:
    """Something that holds a secret."""

    password: Secret


@given(st.text(alphabet="abcdefghij0123456789", min_size=4))
def test_only_reveal_gives_the_value(value: str) -> None:
    secret = Secret(value)
    assert secret.reveal() == value
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>10}", f"{secret:>40}", "%s %r" % (secret, secret)]  # noqa: UP031
    shown += [repr({"a": [secret]}), pformat({"a": secret}), repr(Holder(secret)), "{:x}".format(secret)]  # noqa: UP032
    assert not any(value in text for text in shown)


WAYS: dict[str, Callable[[Secret], Any]] = {
    "json": json.dumps,
    "pickle": pickle.dumps,
    "an old pickle": lambda secret: pickle.dumps(secret, protocol=0),
    "yaml": yaml.safe_dump,
    "yaml with Python's own objects": yaml.dump,
    "copy": copy.copy,
    "deepcopy": lambda secret: copy.deepcopy({"a": secret}),
    "joining": lambda secret: "-".join([secret]),
    "adding": lambda secret: "a" + secret,
    "encoding": lambda secret: bytes(secret),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_it_goes_into_no_format(way: Callable[[Secret], Any]) -> None:
    with pytest.raises((TypeError, yaml.YAMLError)) as caught:
        way(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_it_has_no_attribute_that_a_template_or_a_dump_would_find() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")
    assert [name for name in dir(Secret(CANARY)) if not name.startswith("_")] == ["reveal"]


def test_two_of_the_same_value_are_not_equal_so_that_none_is_compared_by_accident() -> None:
    assert Secret(CANARY) != Secret(CANARY) and Secret(CANARY) != CANARY


def test_a_log_line_shows_stars(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").warning("password %s", Secret(CANARY))
    assert caplog.messages == ["password ***"]
