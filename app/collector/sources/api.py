"""A source of type `api`: an HTTP service, page by page."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import orjson

from collector.sources import Batch, Context, SourceError, urls
from collector.sources.api_config import Config as Config
from collector.sources.client import Answer, Client, Request
from collector.sources.credentials import Credentials
from collector.sources.formats import json_batches, json_path, line_batches
from collector.sources.network import Resolve, system_resolve
from collector.sources.paging import first, following
from collector.sources.records import within

LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines")


async def collect(config: Config, context: Context, resolve: Resolve = system_resolve) -> AsyncGenerator[Batch, None]:
    credentials = Credentials(config, context)
    with quiet(credentials):
        client = Client(context, credentials, resolve)
        try:
            async with aclosing(within(pages(config, client), context)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            await client.close()


@contextmanager
def quiet(credentials: Credentials) -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        reason = credentials.hidden(error.reason)
        raise SourceError(reason, retryable=error.retryable, retry_after_seconds=error.retry_after_seconds) from None


async def pages(config: Config, client: Client) -> AsyncGenerator[Batch, None]:
    request: Request | None = first(config, urls.parse(config.url))
    page, asked = 0, set[Request]()
    while request is not None:
        page += 1
        refuse_endless(request, asked, page, client.settings.api_max_pages)
        answer = await client.ask(request)
        try:
            document, batches = await asyncio.to_thread(read, config, client, answer)
            for batch in batches:
                yield batch
            client.context.progress(page, None)
            request = following(config, request, answer, document, page, sum(map(len, batches)))
        except SourceError as error:
            raise SourceError(f"{answer.url.shown}: page {page}: {error.reason}") from None


def refuse_endless(request: Request, asked: set[Request], page: int, most: int) -> None:
    if request in asked:
        raise SourceError(f"{request.url.shown}: page {page}: would be a page that has been asked for already")
    if page > most:
        raise SourceError(f"{request.url.shown}: has more than the {most} pages that are permitted")
    asked.add(request)


def read(config: Config, client: Client, answer: Answer) -> tuple[Any, list[Batch]]:
    """What the answer says, and its records. Raises SourceError."""
    longest, body = client.settings.max_record_bytes, answer.body
    if not body.strip():
        return None, []
    if config.format == "jsonl" or (config.format == "auto" and kind(answer) in LINES):
        batches = list(line_batches([body], longest))
        document: Any = [orjson.loads(text) for batch in batches for text in batch]
    else:
        document = loads(body)
        batches = list(json_batches([body], json_path(config.records), longest))
    client.credentials.refuse_echo([body, orjson.dumps(document)])
    return document, batches


def kind(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def loads(body: bytes) -> Any:
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise SourceError(f"is no JSON: {error}") from None
