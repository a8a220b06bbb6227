"""Around every request: its id, limits of size and time, metrics, one log line, and `Connection: close` while draining."""

import asyncio
import re
import time
import uuid
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector import logs, metrics
from collector.problems import LARGE, Problem, TooLarge, response
from collector.settings import Settings

log = logs.get("collector.access")
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")
LATE = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-slow", "The answer takes too long; try again.", {"Retry-After": "5"})
CLOSE = {"Connection": "close"}


def request_id(headers: Headers) -> str:
    """The caller's X-Request-Id if it is harmless in a log, else a new one."""
    given = headers.get("x-request-id", "")
    return given if ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex


class Access:
    """`draining` is set after SIGTERM."""

    def __init__(self, app: ASGIApp, settings: Settings, draining: asyncio.Event) -> None:
        self.app, self.settings, self.draining = app, settings, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        exchange = Exchange(self, scope, receive, send, request_id(headers))
        scope["request_id"] = exchange.name
        with structlog.contextvars.bound_contextvars(request_id=exchange.name):
            try:
                await exchange.bounded(headers)
            finally:
                exchange.note()


class Exchange:
    """One request and its answer."""

    def __init__(self, access: Access, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        self.access, self.scope, self.real_receive, self.real_send, self.name = access, scope, receive, send, name
        self.start, self.status, self.received = time.perf_counter(), 0, 0
        self.waiting, self.clock = False, asyncio.timeout(access.settings.request_seconds)

    async def bounded(self, headers: Headers) -> None:
        try:
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > self.access.settings.max_body_bytes:
                raise TooLarge
            async with self.clock:
                self.waiting = True
                await self.access.app(self.scope, self.receive, self.send)
        except TooLarge:
            self.waiting = False
            await self.refuse(LARGE)
        except TimeoutError:
            if self.status or not self.clock.expired():
                raise
            self.waiting = False
            await self.refuse(LATE)

    async def refuse(self, problem: Problem) -> None:
        if not self.status:
            answer = response(self.scope["path"], problem)
            answer.headers.update(CLOSE)
            await answer(self.scope, self.real_receive, self.send)

    async def receive(self) -> Message:
        message = await self.real_receive()
        self.received += len(message.get("body", b""))
        if self.received > self.access.settings.max_body_bytes:
            raise TooLarge
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.name
            if self.access.draining.is_set():
                headers.update(CLOSE)
            if self.waiting and not self.clock.expired():
                self.clock.reschedule(None)  # it has begun: how long a result takes is its reader's business
        await self.real_send(message)

    def note(self) -> None:
        seconds, status, path = time.perf_counter() - self.start, self.status or 500, self.scope["path"]
        method, route = self.scope["method"], getattr(self.scope.get("route"), "path", "(none)")
        metrics.REQUESTS.labels(method, route, status).inc()
        metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
        quiet = path.startswith(("/health", "/metrics")) and status < 400
        write = log.debug if quiet else log.info
        write("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1), caller=self.scope.get("caller"))
