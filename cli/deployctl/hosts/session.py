"""The agent at work on a host: started once, asked as often as there are questions.

A start costs a session of ssh, sudo and Python, which is more than most verbs cost. So one that has answered waits for the
next question, as ssh's own connection does, and ends with this process; or by itself, when nobody asks it anything. An answer
is a JSON text sequence (RFC 7464), so that whatever else a host prints is passed over.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.resources
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

RECORD = b"\x1e"  # RFC 7464, 2.2: it goes before each text, a line feed behind
ENDING = 2.0
"""Seconds that agents get to end by themselves."""
READ = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"


def program() -> bytes:
    """The agent, whole: what a host's Python reads before the first question."""
    rooms = importlib.resources.files("deployctl.hosts")
    agent, flows = (rooms.joinpath(name).read_text(encoding="utf-8") for name in ("agent.py", "agent_flows.py"))
    own = flows.partition("# travels from here\n")
    imports = "".join(line + "\n" for line in own[0].splitlines() if line.startswith("import "))
    return f"{agent}\n\n{imports}{own[2]}\n\nserve()\n".encode()


PROGRAM = program()
# Nothing of the user's own gets into a Python that runs as root: no folder of his, no variable of his.
PYTHON = f"python3 -I -c '{READ}' {len(PROGRAM)}"
# The remote shell decides what is missing, so that nobody has to read sudo's or ssh's words.
REMOTE = (
    "command -v python3 >/dev/null || { echo deployctl:no-python3; exit 0; }; "
    f'[ "$(id -u)" = 0 ] && exec {PYTHON}; '
    "command -v sudo >/dev/null || { echo deployctl:no-sudo; exit 0; }; "
    f"sudo -n {PYTHON} || echo deployctl:sudo-refused"
)


class Silent(Exception):
    """The agent ended without an answer, or never began.

    `code` is the way's exit code, `last` the last line on stdout, `said` what was on stderr; `late` if it took too long.
    """

    def __init__(self, code: int, last: str, said: str, late: bool) -> None:
        super().__init__(last or said)
        self.code, self.last, self.said, self.late = code, last, said, late


class Session:
    """One agent, and the way to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the session; a pipe could fill up unread
        self._way = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        self._unsent, self._late = PROGRAM, False

    def ask(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer to one request, within so many seconds. Raises Silent."""
        timer = threading.Timer(limit, self._late_now)
        timer.start()
        try:
            self._send(self._unsent + json.dumps(request).encode() + b"\n")
            self._unsent = b""
            return self._answer()
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let it end: it has nothing to do but to wait for a question."""
        for pipe in (self._way.stdin, self._way.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def end(self, seconds: float) -> None:
        """Wait so long until it has ended, and then no more: one on a host that is lost never does."""
        self.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._way.wait(seconds)
        self._way.kill()
        self._way.wait()
        self._errors.close()

    def _late_now(self) -> None:
        self._late = True
        self._way.kill()

    def _send(self, data: bytes) -> None:
        """Whoever has ended says why where the answer is read."""
        with contextlib.suppress(BrokenPipeError):
            self._way.stdin.write(data)  # type: ignore[union-attr]
            self._way.stdin.flush()  # type: ignore[union-attr]

    def _answer(self) -> dict[str, Any]:
        last = b""
        for line in self._way.stdout:  # type: ignore[union-attr]
            if line.startswith(RECORD) and line.endswith(b"\n"):
                answer: dict[str, Any] = json.loads(line[1:])
                return answer
            last = line.strip() or last
        code = self._way.wait()
        self._errors.seek(0)
        raise Silent(code, last.decode("utf-8", "replace"), self._errors.read().decode("utf-8", "replace").strip(), self._late)


class Sessions:
    """The agents of a process, by the command that is the way to them; several of one host where it is asked in parallel."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, ...], list[Session]] = {}
        self._guard = threading.Lock()

    def ask(self, command: Sequence[str], request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """Ask one that waits, or a new one. Raises Silent.

        A connection that broke since the last question says nothing about the host: then a new one is asked, too.
        """
        while (session := self._next(command)) is not None:
            try:
                return self._asked(command, session, request, limit)
            except Silent as silent:
                if silent.late:
                    raise
        return self._asked(command, Session(command), request, limit)

    def end(self, command: Sequence[str] | None = None) -> None:
        """End those that wait: of one way, or all."""
        with self._guard:
            ways = list(self._waiting) if command is None else [tuple(command)]
            ended = [session for way in ways for session in self._waiting.pop(way, [])]
        for session in ended:
            session.close()
        last = time.monotonic() + ENDING
        for session in ended:
            session.end(max(0, last - time.monotonic()))

    def _next(self, command: Sequence[str]) -> Session | None:
        with self._guard:
            waiting = self._waiting.get(tuple(command))
            return waiting.pop() if waiting else None

    def _asked(self, command: Sequence[str], session: Session, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        try:
            answer = session.ask(request, limit)
        except BaseException:
            session.end(0)
            raise
        with self._guard:
            self._waiting.setdefault(tuple(command), []).append(session)
        return answer


SESSIONS = Sessions()
atexit.register(SESSIONS.end)
