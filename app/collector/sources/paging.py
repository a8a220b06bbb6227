"""Which request comes after which answer."""

import re
from dataclasses import replace
from typing import Any

import orjson

from collector.sources import SourceError
from collector.sources.api_config import Config, CursorPaging, LinkPaging, PagePaging
from collector.sources.client import Answer, Request
from collector.sources.formats import json_path
from collector.sources.urls import Url

LINK = re.compile(r'\s*+<([^>]*+)>((?:\s*+;\s*+[^\s=;,"]++(?:\s*+=\s*+(?:"(?:[^"\\]|\\.)*+"|[^\s;,"]*+))?+)*+)\s*+(?:,|$)')
PARAMETER = re.compile(r';\s*+([^\s=;,"]++)(?:\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s;,"]*+)))?+')


def first(config: Config, url: Url) -> Request:
    headers = (("Accept", "application/json, application/x-ndjson"), *config.headers.items())
    body = orjson.dumps(config.body or {}) if config.method == "POST" else None
    request = Request(url.with_query(written(config.query)), config.method, headers, body)
    if isinstance(config.paging, PagePaging):
        return placed(request, config.paging, config.paging.start)
    return request


def written(query: dict[str, Any]) -> dict[str, Any]:
    return {name: [*map(word, value)] if isinstance(value, list) else word(value) for name, value in query.items()}


def word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def placed(request: Request, paging: CursorPaging | PagePaging, value: str | int) -> Request:
    if paging.place == "query":
        return replace(request, url=request.url.with_query({paging.parameter: value}))
    fields = orjson.loads(request.body or b"{}")
    return replace(request, body=orjson.dumps({**fields, paging.parameter: value}))


def following(config: Config, request: Request, answer: Answer, document: Any, page: int, count: int) -> Request | None:
    """The request for the page after number `page` (from 1), which had `count` records; None after the last."""
    match config.paging:
        case LinkPaging() as paging:
            return linked(paging, request, answer, document)
        case CursorPaging() as paging:
            cursor = at(document, paging.path, "config.paging.path", missing=None)
            if cursor is None or cursor == "":
                return None
            if not isinstance(cursor, str | int) or isinstance(cursor, bool):
                raise SourceError("config.paging.path: the cursor is neither text nor a whole number")
            return placed(request, paging, cursor)
        case PagePaging() as paging if count and count >= (paging.size or 1):
            return placed(request, paging, paging.start + page * paging.step)
    return None


def linked(paging: LinkPaging, request: Request, answer: Answer, document: Any) -> Request | None:
    if paging.path is None:
        target = next_link(answer.headers.get("link", ""))
    else:
        target = at(document, paging.path, "config.paging.path", missing=None)
    if target is None or target == "":
        return None
    try:
        url = answer.url.joined(target)
    except (ValueError, TypeError, AttributeError):
        raise SourceError("the link to the next page is no URL for HTTP") from None
    if url.origin != request.url.origin:
        raise SourceError(f"the link to the next page leads to another origin, {url.scheme}://{url.authority}")
    return replace(request, url=url)


def next_link(text: str) -> str | None:
    """The target of rel="next" in a Link header (RFC 8288, 3)."""
    place = 0
    while found := LINK.match(text, place):
        place = found.end()
        parameters = [(name.lower(), quoted or plain) for name, quoted, plain in PARAMETER.findall(found[2])]
        if "next" in dict(reversed(parameters)).get("rel", "").lower().split():  # of several rel the first counts
            return found[1]
        if place == len(text):
            break
    return None


def at(document: Any, path: str, field: str, **missing: Any) -> Any:
    """What lies at a path of names. Raises SourceError with the name that is not there, unless `missing` says what then."""
    for name in json_path(path):
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif "missing" in missing:
            return missing["missing"]
        else:
            raise SourceError(f"{field}: the answer has no {name!r} there")
    return document
