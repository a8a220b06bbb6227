"""HTTP as a source needs it: bounded in size and time, redirects judged one by one, tried again where that may help."""

import asyncio
import logging
import random
import ssl
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import certifi
import httpcore

from collector.sources import Context, SourceError
from collector.sources.credentials import Credentials
from collector.sources.network import Guarded, Resolve
from collector.sources.settings import SourceSettings
from collector.sources.urls import Url

AGAIN = {408, 425, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
POLL_SECONDS = 0.2
logging.getLogger("httpcore").setLevel(logging.INFO)  # its debug lines hold whole headers, secrets too


class Transient(Exception):
    """Another try may help. `wait_seconds`: what the server asked for."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait_seconds = reason, wait_seconds


@dataclass(frozen=True)
class Request:
    url: Url
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    url: Url
    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def trusted(settings: SourceSettings) -> ssl.SSLContext:
    """Public authorities and the site's own. Raises SourceError."""
    context = ssl.create_default_context(cafile=certifi.where())
    if settings.source_ca_file:
        try:
            context.load_verify_locations(settings.source_ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = "no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise SourceError(f"setting source_ca_file: cannot be read: {reason}") from None
    return context


class Client:
    """One a job. No cookies, no proxies, nothing from the environment."""

    def __init__(self, context: Context, credentials: Credentials, resolve: Resolve) -> None:
        self.context, self.settings, self.credentials = context, context.settings, credentials
        backend = Guarded(self.settings, resolve)
        self.pool = httpcore.AsyncConnectionPool(ssl_context=trusted(self.settings), network_backend=backend, max_connections=1)
        self.received = 0
        self.deadline = asyncio.get_running_loop().time() + self.settings.max_source_seconds

    async def close(self) -> None:
        await self.pool.aclose()

    async def ask(self, request: Request) -> Answer:
        """The answer, with a status of 2xx. Raises SourceError."""
        try:
            async with asyncio.timeout_at(self.deadline):
                return await self.tried(request)
        except TimeoutError:
            most = self.settings.max_source_seconds
            raise SourceError(f"takes longer than the {most:g} seconds that are permitted", retryable=True) from None

    async def tried(self, request: Request) -> Answer:
        for attempt in range(self.settings.api_tries):
            try:
                return await self.followed(request)
            except Transient as error:
                wait = error.wait_seconds if error.wait_seconds is not None else self.backoff(attempt)
                if attempt + 1 == self.settings.api_tries or wait > self.settings.api_max_wait_seconds:
                    tries = f", tried {attempt + 1} times" if attempt else ""
                    raise SourceError(
                        f"{error.reason}{tries}", retryable=True, retry_after_seconds=error.wait_seconds
                    ) from None
                await pause(wait, self.context)
        raise AssertionError("the last try returns or raises")

    def backoff(self, attempt: int) -> float:
        """Exponential, with jitter: many jobs do not come back at once."""
        longest = min(self.settings.api_backoff_seconds * 2**attempt, self.settings.api_max_wait_seconds)
        return random.uniform(longest / 2, longest)

    async def followed(self, request: Request) -> Answer:
        home, at_home = request.url.origin, True
        for _ in range(MOST_REDIRECTS + 1):
            at_home = at_home and request.url.origin == home
            answer = await self.send(request, at_home)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return judged(answer)
            request = redirected(request, answer)
        raise SourceError(f"{request.url.shown}: more than {MOST_REDIRECTS} redirects")

    async def send(self, request: Request, at_home: bool) -> Answer:
        """One request. What the job says in headers stays at the origin that the job names."""
        headers = [("Host", request.url.authority), ("Accept-Encoding", "gzip"), ("User-Agent", "collector")]
        if at_home:
            headers += [*request.headers, *self.credentials.headers()]
        if request.body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(request.body)))]
        try:
            return await self.exchange(request, headers)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError, ssl.SSLError) as error:
            raise explained(request.url, error) from None

    async def exchange(self, request: Request, headers: list[tuple[str, str]]) -> Answer:
        url, patience = request.url, self.settings.api_timeout_seconds
        target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), patience)
        async with self.pool.stream(
            request.method, target, headers=headers, content=request.body, extensions={"timeout": timeouts}
        ) as response:
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(url, response.status, found, await self.body(response, found, url))

    async def body(self, response: httpcore.Response, headers: dict[str, str], url: Url) -> bytes:
        unpack = Unpack(headers.get("content-encoding", "identity").lower(), self.settings.api_max_response_bytes, url)
        parts = list[bytes]()
        async for chunk in response.aiter_stream():
            self.context.check()
            parts.append(unpack.more(chunk))
            self.received += len(parts[-1])
            if self.received > self.settings.max_file_bytes:
                raise SourceError(f"{url.shown}: all answers have more than the {self.settings.max_file_bytes} bytes permitted")
        unpack.end()
        return b"".join(parts)


class Unpack:
    """Content-Encoding undone (RFC 9110, 8.4.1), never past the limit."""

    def __init__(self, encoding: str, most: int, url: Url) -> None:
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise SourceError(f"{url.shown}: an answer in an encoding that was not asked for")
        self.inflate = zlib.decompressobj(wbits=47) if encoding != "identity" else None
        self.left, self.most, self.url = most, most, url

    def more(self, chunk: bytes) -> bytes:
        try:
            plain = self.inflate.decompress(chunk, self.left + 1) if self.inflate else chunk
        except zlib.error:
            raise self.damaged() from None
        self.left -= len(plain)
        if self.left < 0:
            raise SourceError(f"{self.url.shown}: the answer has more than the {self.most} bytes that are permitted")
        return plain

    def end(self) -> None:
        if self.inflate and (self.inflate.unused_data or not self.inflate.eof) and self.left < self.most:
            raise self.damaged()

    def damaged(self) -> Transient:
        return Transient(f"{self.url.shown}: the packed answer is damaged or cut off")


def judged(answer: Answer) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    reason = f"{answer.url.shown}: answers {answer.status} {phrase(answer.status)}".rstrip()
    if answer.status in AGAIN:
        raise Transient(reason, retry_after(answer.headers.get("retry-after"), datetime.now(UTC)))
    raise SourceError(reason)


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait, from either form of Retry-After (RFC 9110, 10.2.3). None if there is none that can be read."""
    if text is None:
        return None
    if text.isascii() and text.strip().isdigit():
        return float(text.strip()[:12])
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())


def redirected(request: Request, answer: Answer) -> Request:
    """The next request. Raises SourceError for a way that is not to be followed."""
    here = request.url.shown
    try:
        url = request.url.joined(answer.headers["location"])
    except ValueError:
        raise SourceError(f"{here}: redirects to what is no URL for HTTP") from None
    if request.url.scheme == "https" and url.scheme == "http":
        raise SourceError(f"{here}: redirects from https to http")
    keep = answer.status in (307, 308)
    if keep and request.body is not None and url.origin != request.url.origin:
        raise SourceError(f"{here}: redirects what is posted to another origin, {url.scheme}://{url.authority}")
    if keep or request.method == "GET":
        return Request(url, request.method, request.headers, request.body)
    return Request(url, "GET", request.headers)


def explained(url: Url, error: Exception) -> Transient | SourceError:
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "an authority of the site's own is named by the setting source_ca_file"
            return SourceError(f"{url.shown}: the certificate is not accepted: {cause.verify_message} ({hint})")
        if isinstance(cause, ssl.SSLError):
            return Transient(f"{url.shown}: TLS fails: {cause.reason or 'the connection broke off'}")
    if isinstance(error, (httpcore.TimeoutException, TimeoutError)):
        return Transient(f"{url.shown}: does not answer in time")
    if isinstance(error, httpcore.ConnectError):
        return Transient(f"{url.shown}: cannot be reached")
    if isinstance(error, httpcore.ProtocolError):
        return Transient(f"{url.shown}: the answer is no HTTP, or cut off")
    return Transient(f"{url.shown}: the connection broke off")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def pause(seconds: float, context: Context) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        context.check()
        await asyncio.sleep(min(left, POLL_SECONDS))
    context.check()
