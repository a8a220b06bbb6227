"""One JSON object a line, whoever speaks."""

import json
import subprocess
import sys
from typing import Any

from collector import logs

SPEAK = """
import logging
from collector import logs

early = logs.get("collector.early")
logs.configure("info", service="api")
with logs.structlog.contextvars.bound_contextvars(request_id="r1"):
    early.info("request", status=200, what=ValueError)
    logging.getLogger("uvicorn.error").info("started %s", 1, extra={"color_message": "x", "pid": 7})
for logger in (early, logging.getLogger("library")):
    logger.debug("unheard")
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("bad \\ud800 \\n end")
"""


def spoken() -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", SPEAK], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_our_lines_and_those_of_libraries_have_one_form() -> None:
    ours, theirs, *wrong = spoken()
    common = {"service": "api", "level": "info", "request_id": "r1"}
    assert {**common, "logger": "collector.early", "message": "request", "status": 200}.items() <= ours.items()
    assert {**common, "logger": "uvicorn.error", "message": "started 1", "pid": 7}.items() <= theirs.items()
    assert ours["timestamp"] <= theirs["timestamp"]
    assert "ValueError" in ours["what"]
    assert "color_message" not in theirs
    for line in wrong:
        assert (line["level"], line["message"].count("\n")) == ("error", 1)
        assert line["exception"].endswith("KeyError: 'k'")
    assert [line["logger"] for line in wrong] == ["collector.early", "library"]


def test_a_level_that_nobody_wants_costs_nothing() -> None:
    assert logs.get("collector.test").debug.__name__ == "_nop"
