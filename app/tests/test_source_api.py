"""The source `api` against real servers: paging, credentials, retries, limits."""

import asyncio
import gzip
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from http_servers import Answering, Asked, Server, answer, make_certificate, serving_http
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from source_context import Rows, all_batches, context, refusal, rows

from collector.sources import Batch, Cancelled, Context, SourceError
from collector.sources.api import Config, collect
from collector.sources.client import retry_after
from collector.sources.paging import next_link

CANARY = "canary-7f3a/9+secret"
LOOPBACK = {"source_networks": ("127.0.0.0/8",)}


def local(**changes: Any) -> Context:
    quick = {"api_backoff_seconds": 0.01, "api_timeout_seconds": 2, **LOOPBACK}
    return context(**{"secrets": {"crm_token": CANARY, "odd": "a\nb"}, **quick, **changes})


async def ask(
    answering: Answering, given: Context | None = None, path: str = "/a", **config: Any
) -> tuple[Rows | SourceError, Server]:
    """The rows, or why there are none."""
    async with serving_http(answering) as server:
        collected = Config(url=server.url(path), **config)
        try:
            return await rows(collect(collected, given or local())), server
        except SourceError as error:
            return error, server


async def refused(answering: Answering, given: Context | None = None, **config: Any) -> tuple[SourceError, Server]:
    found, server = await ask(answering, given, **config)
    assert isinstance(found, SourceError), found
    return found, server


def constant(content: object, status: str = "200 OK", packed: bool = False, **headers: str) -> Answering:
    return lambda asked: answer(content, status, packed, **headers)


@pytest.mark.parametrize(
    ("content", "headers", "config", "expected"),
    [
        ([{"x": 1}, {"x": 2}], {}, {}, [{"x": 1}, {"x": 2}]),
        ({"data": {"items": [{"x": "ä"}]}}, {}, {"records": "data.items"}, [{"x": "ä"}]),
        (b'{"x": 1}\n{"x": 2}\n', {"Content_Type": "application/x-ndjson; charset=utf-8"}, {}, [{"x": 1}, {"x": 2}]),
        (b'{"x": 1}\n', {}, {"format": "jsonl"}, [{"x": 1}]),
        (b"\xef\xbb\xbf[]", {"Content_Type": "application/x-ndjson"}, {"format": "json"}, []),
        (b"", {}, {}, []),
    ],
)
async def test_reads_records(content: object, headers: dict[str, str], config: dict[str, Any], expected: Rows) -> None:
    for packed in (False, True):
        assert (await ask(constant(content, packed=packed, **headers), **config))[0] == expected


async def test_the_request_is_as_the_job_says() -> None:
    found, server = await ask(
        constant([]), path="/ä b?x=1&y=2".replace(" ", "%20"), method="POST", body={"since": 1},
        query={"y": [True, "a b"], "z": 1.5}, headers={"Accept-Language": "de"},
    )  # fmt: skip
    (asked,) = server.asked
    assert found == []
    assert asked.target == "/%C3%A4%20b?x=1&y=true&y=a+b&z=1.5"
    assert (asked.method, asked.body) == ("POST", b'{"since":1}')
    assert asked.headers["accept-language"] == "de"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"


async def test_no_digit_of_a_number_is_lost() -> None:
    body = b'[{"x": 12345678901234567890123.10}]'
    async with serving_http(constant(body)) as server:
        assert await all_batches(collect(Config(url=server.url()), local())) == [
            Batch.of(['{"x": 12345678901234567890123.10}'])
        ]


def paged(asked: Asked) -> bytes:
    """Seven records, three a page, in every way of paging."""
    posted: dict[str, Any] = orjson.loads(asked.body) if asked.body else {}
    value = asked.query.get("n", [posted.get("n", "0")])[0] if "n" in asked.query else posted.get("n", 0)
    start = int(value)
    items = [{"x": n} for n in range(start, min(start + 3, 7))]
    more = start + 3 < 7
    document = {"items": items, "next": f"?n={start + 3}" if more else None, "cursor": start + 3 if more else ""}
    link = f'</first>; rel="first"; title="a, b; rel=next", <?n={start + 3}>; REL="last next"' if more else '<x>; rel="prev"'
    return answer(document, Link=link)


@pytest.mark.parametrize(
    "config",
    [
        {"paging": {"type": "link"}},
        {"paging": {"type": "link", "path": "next"}},
        {"paging": {"type": "cursor", "path": "cursor", "parameter": "n"}},
        {"paging": {"type": "cursor", "path": "cursor", "parameter": "n", "place": "body"}, "method": "POST", "body": {"q": 1}},
        {"paging": {"type": "page", "parameter": "n", "start": 0, "step": 3}},
        {"paging": {"type": "page", "parameter": "n", "start": 0, "step": 3, "size": 3}},
        {"paging": {"type": "page", "parameter": "n", "start": 0, "step": 3, "place": "body"}, "method": "POST"},
    ],
)
async def test_all_pages_are_read(config: dict[str, Any]) -> None:
    told = list[float]()
    given = local(progress=lambda done, total: told.append(done))
    found, server = await ask(paged, given, records="items", **config)
    assert found == [{"x": n} for n in range(7)]
    unbounded = config["paging"]["type"] == "page" and "size" not in config["paging"]
    assert len(server.asked) == len(told) == (4 if unbounded else 3)


@pytest.mark.parametrize(
    ("content", "paging", "message"),
    [
        (
            {"i": [], "c": 5},
            {"type": "cursor", "path": "c", "parameter": "c"},
            "page 3: would be a page that has been asked for",
        ),
        (
            {"i": [], "c": [5]},
            {"type": "cursor", "path": "c", "parameter": "c"},
            "page 1: config.paging.path: the cursor is neither",
        ),
        ({"i": [], "c": "/a"}, {"type": "link", "path": "c"}, "page 2: would be a page that has been asked for"),
        ({"i": [], "c": 5}, {"type": "link", "path": "c"}, "the link to the next page is no URL"),
        ({"i": [], "c": "file:///etc/passwd"}, {"type": "link", "path": "c"}, "the link to the next page is no URL"),
        ({"i": [], "c": "http://127.0.0.1:1/"}, {"type": "link", "path": "c"}, "leads to another origin, http://127.0.0.1:1"),
        ({"i": [{}]}, {"type": "page"}, "has more than the 5 pages"),
    ],
)
async def test_paging_that_goes_astray_ends(content: object, paging: dict[str, Any], message: str) -> None:
    error, server = await refused(constant(content), local(api_max_pages=5), records="i", paging=paging)
    assert message in error.reason
    assert not error.retryable
    assert len(server.asked) <= 5


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("", None),
        ("<a>; rel=next", "a"),
        ('<a>;rel="prev";rel="next"', None),
        ('<a>; title="x\\"; rel=next", <b>; rel=next', "b"),
        ("<a>; rel=nextish", None),
        ("<a>; rel", None),
        ("nonsense", None),
        ("<a>; rel=next nonsense", None),
    ],
)
def test_link_headers(text: str, target: str | None) -> None:
    assert next_link(text) == target


@given(st.text('<>;=," \\relnxt/a', max_size=200))
def test_no_link_header_breaks_the_reader(text: str) -> None:
    assert next_link(text) is None or f"<{next_link(text)}>" in text


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"type": "bearer", "secret": "crm_token"}, "authorization", f"Bearer {CANARY}"),
        ({"type": "basic", "username": "me", "secret": "crm_token"}, "authorization",
         "Basic bWU6Y2FuYXJ5LTdmM2EvOStzZWNyZXQ="),
        ({"type": "header", "name": "X-Api-Key", "secret": "crm_token"}, "x-api-key", CANARY),
    ],
)  # fmt: skip
class TestCredentials:
    async def test_they_are_sent(self, auth: dict[str, str], name: str, value: str) -> None:
        _, server = await ask(constant([]), auth=auth)
        assert server.asked[0].headers[name] == value

    async def test_they_do_not_follow_to_another_origin_nor_do_headers(
        self, auth: dict[str, str], name: str, value: str
    ) -> None:
        async with serving_http(constant([{"x": 1}])) as other:
            away = constant(b"", "302 Found", Location=other.url("/b"))
            found, server = await ask(away, auth=auth, headers={"X-Tenant": "acme"})
        assert found == [{"x": 1}]
        assert server.asked[0].headers[name] == value
        assert name not in other.asked[0].headers
        assert "x-tenant" not in other.asked[0].headers

    async def test_nor_come_back_by_another_origin(self, auth: dict[str, str], name: str, value: str) -> None:
        target = list[str]()
        async with serving_http(lambda asked: answer(b"", "302 Found", Location=target[0])) as other:

            def answering(asked: Asked) -> bytes:
                return answer([]) if asked.path == "/trap" else answer(b"", "302 Found", Location=other.url())

            async with serving_http(answering) as server:
                target.append(server.url("/trap"))
                await rows(collect(Config(url=server.url(), auth=auth), local()))
        assert [name in asked.headers for asked in server.asked] == [True, False]

    async def test_they_follow_within_the_origin(self, auth: dict[str, str], name: str, value: str) -> None:
        def answering(asked: Asked) -> bytes:
            return answer([]) if asked.path == "/b" else answer(b"", "302 Found", Location="/b")

        _, server = await ask(answering, auth=auth)
        assert [asked.headers[name] for asked in server.asked] == [value, value]

    @pytest.mark.parametrize("kind", range(9))
    async def test_they_stand_in_no_row_no_error_and_no_log(
        self, auth: dict[str, str], name: str, value: str, kind: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        word = value.rpartition(" ")[2]
        escaped = "".join(f"\\u{ord(each):04x}" for each in word)
        echoes: list[Answering] = [
            constant([{"x": value}]),
            constant(f'[{{"x": "{escaped}"}}]'.encode()),
            constant(f'{{"x": "{escaped}"}}\n'.encode(), Content_Type="application/x-ndjson"),
            constant(value.encode(), f"500 {word}"),
            constant(value.encode(), f"403 {word}"),
            constant(b"", "302 Found", Location=f"ftp://{word}/"),
            constant(
                b"", "302 Found", Location=f"http://{word.replace('/', '.').replace('+', '.').rstrip('=')}.example/{word}"
            ),
            constant({"next": word}),
            lambda asked: f"{word} HTTP/1.1\r\n{word}\r\n\r\n".encode(),
        ]
        error, _ = await refused(echoes[kind], local(api_tries=1), auth=auth)
        assert CANARY not in error.reason
        assert word not in error.reason
        assert not [record for record in caplog.records if word in record.getMessage() or CANARY in record.getMessage()]


async def test_a_secret_that_is_not_there_or_that_no_header_carries_is_named_and_not_shown() -> None:
    for name, message in (("nobody", "there is no secret nobody"), ("odd", "a header cannot carry odd")):
        error, server = await refused(constant([]), auth={"type": "bearer", "secret": name})
        assert message in error.reason
        assert not error.retryable
        assert not server.asked


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": "ftp://a/"}, "url"),
        ({"url": "https://user:pw@a/"}, "holds no user and no password"),
        ({"url": "https:///a"}, "host name"),
        ({"url": "https://a b/"}, "url"),
        ({"url": "https://a\\@b/"}, "url"),
        ({"url": "https://[::g]/"}, "url"),
        ({"url": "https://a:99999/"}, "url"),
        ({"url": f"https://{'a' * 300}/"}, "host name"),
        ({"headers": {"Authorization": "Bearer x"}}, "looks like a credential"),
        ({"headers": {"X-Api-Key": "x"}}, "looks like a credential"),
        ({"headers": {"Host": "x"}}, "set by the service"),
        ({"headers": {"a b": "x"}}, "is no name of a header"),
        ({"headers": {"X": "a\r\nY: b"}}, "printable ASCII"),
        ({"auth": {"type": "header", "name": "Host", "secret": "a"}}, "set by the service"),
        ({"auth": {"type": "bearer", "token": "inline"}}, "token"),
        ({"auth": {"type": "bearer", "secret": "../x"}}, "secret"),
        ({"body": {}}, "`body` belongs to the method POST"),
        ({"paging": {"type": "page", "place": "body"}}, "`paging.place` body belongs to the method POST"),
        ({"format": "jsonl", "records": "x"}, "paths belong to JSON"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_config_is_refused_and_the_field_named(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Config(**{"url": "https://crm.example/", **config})


def failing(times: int, status: str, **headers: str) -> Answering:
    left = [times]

    def answering(asked: Asked) -> bytes:
        left[0] -= 1
        return answer(b"", status, **headers) if left[0] >= 0 else answer([{"x": 1}])

    return answering


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 No", "502 No", "503 No", "504 No", "408 No"])
async def test_what_may_pass_is_tried_again(status: str) -> None:
    found, server = await ask(failing(2, status))
    assert found == [{"x": 1}]
    assert len(server.asked) == 3


async def test_the_server_says_how_long_to_wait() -> None:
    start = time.monotonic()
    found, _ = await ask(failing(1, "503 No", Retry_After="1"))
    assert found == [{"x": 1}]
    assert 1 <= time.monotonic() - start < 5


async def test_a_long_wait_gives_the_job_back() -> None:
    error, server = await refused(failing(1, "429 No", Retry_After="3600"))
    assert (error.retryable, error.retry_after_seconds, len(server.asked)) == (True, 3600, 1)
    assert error.reason.endswith("/a: answers 429 Too Many Requests")


async def test_tries_end() -> None:
    error, server = await refused(failing(9, "503 No"), local(api_tries=3))
    assert (error.retryable, len(server.asked)) == (True, 3)
    assert error.reason.endswith("/a: answers 503 Service Unavailable, tried 3 times")


@pytest.mark.parametrize("status", ["400 No", "401 No", "404 No", "304 No", "599 No", "302 Found"])
async def test_what_does_not_pass_is_not_tried_again(status: str) -> None:
    error, server = await refused(failing(1, status))
    assert (error.retryable, len(server.asked)) == (False, 1)
    assert f"answers {status[:3]}" in error.reason


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("17", 17),
        (" 17 ", 17),
        ("9" * 5000, 999_999_999_999),
        ("soon", None),
        ("-5", None),
        ("²", None),
        (format_datetime(datetime(2026, 1, 1, 0, 1, tzinfo=UTC), usegmt=True), 60),
        ("Thu, 01 Jan 2026 00:01:00", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
    ],
)
def test_both_forms_of_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


@given(st.text(max_size=50))
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    assert (retry_after(text, NOW) or 0) >= 0


async def slow(asked: Asked) -> bytes:
    await asyncio.sleep(5)
    return b""


async def dripping(asked: Asked) -> bytes:
    await asyncio.sleep(0.1)
    return answer([], "503 No")


MANY = b"[" + b'{"x":1},' * 200_000 + b"{}]"


@pytest.mark.parametrize(
    ("answering", "changes", "message", "retryable"),
    [
        (constant(MANY), {"api_max_response_bytes": 10_000}, "the answer has more than the 10000 bytes", False),
        (constant(b"[" + b" " * 50_000_000 + b"]", packed=True), {}, "the answer has more than the 33554432 bytes", False),
        (constant(MANY), {"max_file_bytes": 10_000}, "all answers have more than the 10000 bytes", False),
        (constant(MANY), {"max_rows": 1000}, "has more than the 1000 rows", False),
        (constant(b'[{"x": "' + b"a" * 1000 + b'"}]'), {"max_record_bytes": 100}, "item 1: ", False),
        (constant(b"abc", Content_Encoding="gzip"), {}, "the packed answer is damaged or cut off", True),
        (constant(gzip.compress(b"[]")[:-4], Content_Encoding="gzip"), {}, "the packed answer is damaged or cut off", True),
        (constant(gzip.compress(b"[]") + b"x", Content_Encoding="gzip"), {}, "the packed answer is damaged or cut off", True),
        (constant(b"[]", Content_Encoding="br"), {}, "an encoding that was not asked for", False),
        (constant(b"<html>"), {}, "page 1: is no JSON", False),
        (constant({"a": 1}), {}, "page 1: line 1: must be an array of objects", False),
        (constant([1]), {}, "page 1: line 1, item 1: is not an object", False),
        (lambda asked: b"nonsense\r\n\r\n", {}, "the answer is no HTTP, or cut off", True),
        (lambda asked: b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[", {}, "the answer is no HTTP, or cut off", True),
        (lambda asked: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", {}, "the answer is no HTTP, or cut off", True),
        (slow, {"api_timeout_seconds": 0.2}, "does not answer in time", True),
        (dripping, {"max_source_seconds": 0.35, "api_tries": 20}, "takes longer than the 0.35 seconds", True),
    ],
)
async def test_limits_hold(answering: Answering, changes: dict[str, Any], message: str, retryable: bool) -> None:
    error, _ = await refused(answering, local(**{"api_tries": 1, **changes}))
    assert message in error.reason
    assert error.retryable == retryable


async def test_a_cancelled_job_stops_waiting() -> None:
    start = time.monotonic()
    given = local(cancelled=lambda: time.monotonic() > start + 0.3, api_backoff_seconds=60)
    with pytest.raises(Cancelled):
        await ask(failing(9, "503 No"), given)
    assert time.monotonic() < start + 3


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("ftp://a/", "redirects to what is no URL for HTTP"),
        ("http://[", "redirects to what is no URL for HTTP"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "redirects to what is no URL for HTTP"),
        ("http://user:pw@127.0.0.1/", "redirects to what is no URL for HTTP"),
        ("/a", "more than 5 redirects"),
        ("http://10.0.0.1/", "10.0.0.1 lies at 10.0.0.1: this network is not permitted"),
        ("http://169.254.169.254/latest/meta-data/", "this network is not permitted"),
        ("http://[::ffff:169.254.169.254]/", "this network is not permitted"),
    ],
)
async def test_redirects_are_judged(location: str, message: str) -> None:
    error, _ = await refused(constant(b"", "302 Found", Location=location))
    assert message in error.reason
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "second"), [("301", "GET"), ("302", "GET"), ("303", "GET"), ("307", "POST"), ("308", "POST")]
)
async def test_a_post_is_redirected_as_browsers_do(status: str, second: str) -> None:
    def answering(asked: Asked) -> bytes:
        return answer([]) if asked.path == "/b" else answer(b"", f"{status} No", Location="/b")

    _, server = await ask(answering, method="POST", body={"a": 1})
    assert [(asked.method, asked.body) for asked in server.asked] == [
        ("POST", b'{"a":1}'),
        (second, b'{"a":1}' if second == "POST" else b""),
    ]


async def test_what_is_posted_does_not_leave_the_origin() -> None:
    async with serving_http(constant([])) as other:
        error, _ = await refused(constant(b"", "307 No", Location=other.url()), method="POST", body={"a": 1})
    assert "redirects what is posted to another origin" in error.reason
    assert not other.asked


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_certificate(tmp_path_factory.mktemp("tls"), "crm.example")


async def at_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def ask_tls(certificate: Any, host: str, answering: Answering, **changes: Any) -> Rows | SourceError:
    async with serving_http(answering, tls=certificate[0]) as server:
        config = Config(url=server.url(host=host, scheme="https"))
        try:
            return await rows(collect(config, local(api_tries=1, **changes), at_loopback))
        except SourceError as error:
            return error


async def test_the_sites_own_authority_is_trusted_for_the_name_in_the_url(certificate: Any) -> None:
    assert await ask_tls(certificate, "crm.example", constant([]), source_ca_file=certificate[1]) == []


@pytest.mark.parametrize(
    ("host", "own", "message"),
    [("crm.example", False, "unable to get local issuer certificate"), ("other.example", True, "Hostname mismatch")],
)
async def test_a_wrong_certificate_is_told_clearly(certificate: Any, host: str, own: bool, message: str) -> None:
    error = await ask_tls(certificate, host, constant([]), **({"source_ca_file": certificate[1]} if own else {}))
    assert isinstance(error, SourceError)
    assert "the certificate is not accepted" in error.reason
    assert message in error.reason
    assert not error.retryable


async def test_from_https_to_http_is_no_way(certificate: Any) -> None:
    away = constant(b"", "302 Found", Location="http://crm.example/")
    error = await ask_tls(certificate, "crm.example", away, source_ca_file=certificate[1])
    assert isinstance(error, SourceError)
    assert "redirects from https to http" in error.reason


async def test_tls_with_who_speaks_none_is_told() -> None:
    async with serving_http(lambda asked: b"") as server:
        config = Config(url=server.url(scheme="https"))
        error = await refusal(lambda: collect(config, local(api_tries=1, api_timeout_seconds=0.5)))
    assert error.retryable
    assert "in time" in error.reason or "TLS fails" in error.reason or "cannot be reached" in error.reason


@pytest.mark.parametrize("content", [b"", b"no certificate"])
async def test_a_wrong_file_of_authorities_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    for path in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        error, _ = await refused(constant([]), local(source_ca_file=path))
        assert "setting source_ca_file: cannot be read" in error.reason


async def test_nobody_at_home_is_retryable() -> None:
    async with serving_http(constant([])) as server:
        pass
    error = await refusal(lambda: collect(Config(url=server.url()), local(api_tries=2)))
    assert error.retryable
    assert error.reason.endswith("cannot be reached, tried 2 times")


async def test_a_name_without_address_is_retryable() -> None:
    error = await refusal(lambda: collect(Config(url="http://nobody.invalid/"), local(api_tries=1)))
    assert error.retryable


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await ask(constant([{"x": 1}])))[0] == [{"x": 1}]


async def test_connections_are_used_again_and_closed() -> None:
    before: Callable[[], int] = lambda: len(list(Path("/proc/self/fd").iterdir()))  # noqa: E731
    start = before()
    _, server = await ask(paged, records="items", paging={"type": "link"})
    await asyncio.sleep(0.05)
    assert len(server.asked) == 3
    assert before() <= start + 1
