"""Hosts: the way to them, their keys, and one round trip for each question."""

from deployctl.hosts.errors import (
    ConnectionRefused,
    HostKeyChanged,
    HostKeyUnknown,
    HostsFailed,
    LockLost,
    LoginRefused,
    NoAnswer,
    NoDocker,
    NoPython,
    SudoRefused,
    Unreachable,
    clock,
)  # fmt: skip
from deployctl.hosts.keys import HostKey, diagnose, known_name, pin, pinned, scan
from deployctl.hosts.ssh import ask, call, call_each, control_folder, disconnect, options, ssh_command
from deployctl.hosts.survey import ask_all, survey

__all__ = [
    "ConnectionRefused", "HostKey", "HostKeyChanged", "HostKeyUnknown", "HostsFailed", "LockLost", "LoginRefused",
    "NoAnswer", "NoDocker", "NoPython", "SudoRefused", "Unreachable", "ask", "call", "call_each", "clock",
    "ask_all", "control_folder", "diagnose", "disconnect", "known_name", "options", "pin", "pinned", "scan",
    "ssh_command", "survey",
]  # fmt: skip
