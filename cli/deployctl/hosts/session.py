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
import os
import select
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from io import FileIO
from typing import Any, cast

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
    f"sudo -n {PYTHON}; code=$?; [ $code != 1 ] || echo deployctl:sudo-refused; exit $code"
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
        try:
            pipe = subprocess.PIPE
            self._way = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, bufsize=0)
        except BaseException:
            self._errors.close()
            raise
        self._stdin, self._stdout = cast(FileIO, self._way.stdin), cast(FileIO, self._way.stdout)
        self._unsent, self._heard = PROGRAM, b""

    @property
    def alive(self) -> bool:
        """Whether it waits for a question; where it ended, there is something to read: the end."""
        return self._way.poll() is None and not select.select([self._stdout], [], [], 0)[0]

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to one request. Raises Silent."""
        last = time.monotonic() + seconds
        self._unsent += json.dumps(request).encode() + b"\n"
        with selectors.DefaultSelector() as ready:
            ready.register(self._stdout, selectors.EVENT_READ)
            ready.register(self._stdin, selectors.EVENT_WRITE)
            while b"\n" not in self._heard.partition(RECORD)[2]:
                turns = ready.select(max(0, last - time.monotonic()))
                if not turns:
                    raise self._silent(late=True)
                for turn, _ in turns:
                    if turn.fileobj is self._stdout:
                        self._hear()
                    elif not self._send():
                        ready.unregister(self._stdin)
        text, _, self._heard = self._heard.partition(RECORD)[2].partition(b"\n")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def close(self) -> None:
        """Let it end: it has nothing to do but to wait for a question."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def end(self, seconds: float = 0) -> None:
        """Wait so long until it has ended, and then no more: one on a host that is lost never does."""
        self.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._way.wait(seconds)
        self._way.kill()
        self._way.wait()
        self._errors.close()

    def _hear(self) -> None:
        chunk = os.read(self._stdout.fileno(), 1 << 16)
        if not chunk:
            raise self._silent()
        self._heard += chunk

    def _send(self) -> bool:
        """Send what a pipe takes without making anybody wait; whether there is more. Who has ended says so on stdout."""
        try:
            self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            self._unsent = b""
        return bool(self._unsent)

    def _silent(self, *, late: bool = False) -> Silent:
        if late:
            self._way.kill()
        code, lines = self._way.wait(), self._heard.decode("utf-8", "replace").strip().splitlines()
        self._errors.seek(0)
        return Silent(code, lines[-1] if lines else "", self._errors.read().decode("utf-8", "replace").strip(), late)


class Sessions:
    """The agents of a process, by the command that is the way to them; several of one host where it is asked in parallel."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, ...], list[Session]] = {}
        self._guard = threading.Lock()

    def ask(self, command: Sequence[str], request: Mapping[str, Any], seconds: float, *, again: bool = False) -> dict[str, Any]:
        """Ask one that waits, or a new one. Raises Silent.

        With `again`, one that ends without an answer is followed by a new one: for what may be done twice, and must be done.
        """
        last = time.monotonic() + seconds
        waiting = self._next(command)
        if waiting is not None:
            try:
                return self._asked(command, waiting, request, seconds)
            except Silent as silent:
                if silent.late or not again:
                    raise
        return self._asked(command, Session(command), request, last - time.monotonic())

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
        """One that waits. Those whose connection broke since then are done with."""
        while True:
            with self._guard:
                waiting = self._waiting.get(tuple(command))
                session = waiting.pop() if waiting else None
            if session is None or session.alive:
                return session
            session.end()

    def _asked(self, command: Sequence[str], session: Session, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        try:
            answer = session.ask(request, seconds)
        except BaseException:
            session.end()
            raise
        with self._guard:
            self._waiting.setdefault(tuple(command), []).append(session)
        return answer


SESSIONS = Sessions()
atexit.register(SESSIONS.end)
