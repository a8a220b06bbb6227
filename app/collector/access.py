"""A request id for every request, and one log line for each that is not a health check."""

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector import logs

log = logs.get("collector.access")
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(headers: Headers) -> str:
    """The caller's X-Request-Id if it is harmless in a log, else a new one."""
    given = headers.get("x-request-id", "")
    return given if ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex


class AccessLog:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name, start, status = request_id(Headers(scope=scope)), time.perf_counter(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)["X-Request-Id"] = name
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=name):
            try:
                await self.app(scope, receive, send_with_id)
            finally:
                note(scope, status, time.perf_counter() - start)


def note(scope: Scope, status: int, seconds: float) -> None:
    quiet = scope["path"].startswith("/health") and status < 400
    write = log.debug if quiet else log.info
    write("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))
