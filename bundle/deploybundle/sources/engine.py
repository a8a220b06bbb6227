"""An engine's API: by its socket with http.client, else (TCP, ssh) by Docker's SDK.

The SDK takes a tenth of a second to load, reads at a third of the socket's speed, and is not on a deploy node.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import quote, urlencode

from .images import DaemonUnreachable, ExportFailed

_TIMEOUT = 60  # seconds, for what is answered at once
_BROKEN = (OSError, http.client.HTTPException, ValueError)


class Answer(Protocol):
    """What came back: `status` is HTTP's."""

    status: int

    def read(self, size: int = -1, /) -> bytes: ...


class Engine(Protocol):
    """An engine, wherever it is."""

    def get(self, path: str, timeout: float | None) -> AbstractContextManager[Callable[[], Answer]]:
        """Send a GET; the function waits for its answer. Both raise OSError or HTTPException."""


def connected() -> Engine:
    """This machine's engine, or that of DOCKER_HOST. DaemonUnreachable."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        return _Socket(host.removeprefix("unix://")) if host.startswith("unix:///") else _Sdk()
    except _BROKEN as error:
        reason = "permission denied on its socket" if isinstance(error, PermissionError) else "the daemon does not answer"
        raise DaemonUnreachable(reason, place="Docker", hint="is it running, and may you use it? try `docker info`") from error


def info(engine: Engine) -> dict[str, Any]:
    """What the engine says of itself."""
    return _json(engine, "/info") or {}


def inspected(engine: Engine, ref: str) -> dict[str, Any] | None:
    """What the engine says of an image; None if it has none of this name."""
    return _json(engine, f"/images/{quote(ref, safe='/:@')}/json")


def _json(engine: Engine, path: str) -> dict[str, Any] | None:
    try:
        with engine.get(path, _TIMEOUT) as answer:
            found = answer()
            value = json.loads(found.read())
    except _BROKEN as error:
        raise DaemonUnreachable(str(error), place="Docker") from error
    if found.status == http.client.NOT_FOUND:
        return None
    if found.status != http.client.OK:
        raise DaemonUnreachable(str(value.get("message", value)), place="Docker")
    return dict(value)


@contextlib.contextmanager
def saved(engine: Engine, refs: Sequence[str]) -> Iterator[Callable[[], BinaryIO]]:
    """Ask for images as `docker save` writes them; the function waits for the first byte. It raises ExportFailed if the engine
    refuses, OSError or HTTPException if it breaks off.
    """
    with engine.get(f"/images/get?{urlencode({'names': refs}, doseq=True)}", None) as answer:
        yield lambda: cast(BinaryIO, _checked(answer()))


def _checked(answer: Answer) -> Answer:
    if answer.status != http.client.OK:
        raise ExportFailed(answer.read(4096).decode("utf-8", "replace").strip(), place="Docker")
    return answer


class _Socket:
    """One connection for each question, in HTTP/1.0: a large answer then comes in one piece, not in chunks of 32 KiB.

    Where such an answer ends too early, only its content tells.
    """

    def __init__(self, path: str) -> None:
        self._path, self._version = path, ""
        with self.get("/_ping", _TIMEOUT) as answer:
            self._version = f"/v{answer().headers['Api-Version']}"

    @contextlib.contextmanager
    def get(self, path: str, timeout: float | None) -> Iterator[Callable[[], http.client.HTTPResponse]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(self._path)
            connection.sendall(f"GET {self._version}{path} HTTP/1.0\r\n\r\n".encode())
            yield lambda: _begun(http.client.HTTPResponse(connection, method="GET"))


def _begun(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    answer.begin()
    return answer


class _Sdk:
    """What Docker's SDK reaches. Its errors are those of requests, which are OSErrors."""

    def __init__(self) -> None:
        try:
            docker: Mapping[str, Any] = vars(importlib.import_module("docker"))
        except ImportError as error:
            hint = "pip install 'deployctl[vendor]'"
            raise DaemonUnreachable("Docker's SDK is not installed", place="Docker", hint=hint) from error
        try:
            self._api = docker["from_env"](version="auto").api
        except docker["errors"].DockerException as error:
            raise ConnectionError(str(error)) from error

    @contextlib.contextmanager
    def get(self, path: str, timeout: float | None) -> Iterator[Callable[[], Answer]]:
        """It is sent with the wait for the answer."""
        where = f"{self._api.base_url}/v{self._api.api_version}{path}"
        with contextlib.ExitStack() as stack:
            yield lambda: _SdkAnswer(stack.enter_context(self._api.get(where, stream=True, timeout=timeout)))


class _SdkAnswer:
    """A connection that breaks is an OSError, as of any file."""

    def __init__(self, answer: Any) -> None:
        self.status: int = answer.status_code
        self._body, self._broken = answer.raw, vars(importlib.import_module("urllib3.exceptions"))["HTTPError"]

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, all without."""
        try:
            return cast(bytes, self._body.read(size if size >= 0 else None))
        except self._broken as error:
            raise OSError(str(error)) from error
