"""Tells deployctl what happens, as lines of JSON in the file that DEPLOYCTL_EVENTS names. Without one it is silent.

No arguments, no diffs, no output but of commands that failed: only names, times, messages, and what our modules return as
`deployctl`. (Imports nothing of ours: that would cost every run a third of a second.)
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: deployctl_events
type: aggregate
short_description: JSON lines for deployctl
description: Appends an event a line to the file that DEPLOYCTL_EVENTS names.
"""


LINES = 20


class CallbackModule(CallbackBase):
    """One line for each play, and for each task's start and end on each host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "deployctl_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.path = os.environ.get("DEPLOYCTL_EVENTS", "")
        self.disabled = not self.path
        self.started: dict[tuple[str, str], float] = {}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._write(event="play", name=play.get_name())

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self.started[host.get_name(), task._uuid] = time.time()
        self._write(event="start", host=host.get_name(), task=task.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        self._end("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._end("failed", result, message=_message(result.result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._end("unreachable", result, message=_message(result.result))

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._end("skipped", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write(event="stats", hosts={host: stats.summarize(host) for host in stats.processed})

    def _end(self, event: str, result: Any, **more: Any) -> None:
        host, task = result.host.get_name(), result.task
        seconds = time.time() - self.started.pop((host, task._uuid), time.time())
        data = result.result.get("deployctl")
        if data is not None:
            more["data"] = data
        changed = bool(result.result.get("changed"))
        self._write(event=event, host=host, task=task.get_name(), changed=changed, seconds=round(seconds, 3), **more)

    def _write(self, **event: Any) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**event, "time": time.time()}, default=str) + "\n")


def _message(result: dict[str, Any]) -> str:
    """Why it failed, in the module's own words and a program's last ones; what `no_log` hides stays hidden."""
    if "censored" in result:
        return str(result["censored"])
    items = [item for item in result.get("results", []) if item.get("failed") or "exception" in item]  # 2.20 has no `failed`
    if items:
        return "\n".join(_message(item) for item in items)
    said = [line for stream in ("stdout", "stderr") for line in str(result.get(stream) or "").strip().splitlines()]
    return "\n".join([_what(result), *said[-LINES:]])


def _what(result: dict[str, Any]) -> str:
    """Ansible says `non-zero return code` of a command; a person wants to know which, and how it ended."""
    command = result.get("cmd")
    if command and result.get("rc"):
        return "`{}` ended with {}".format(command if isinstance(command, str) else " ".join(command), result["rc"])
    return str(result.get("msg") or "failed").removeprefix("Task failed: ").removeprefix("Action failed: ")
