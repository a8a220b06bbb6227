"""What callers do with jobs, over HTTP."""

import asyncio
import base64
import json
import re
import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import AwareDatetime, BeforeValidator
from sqlalchemy import Row

from collector import broker, jobs, logs
from collector.contract import problems_of
from collector.jobs import JobRow
from collector.models import State
from collector.parts import MayRead, MayWrite, Parts, PartsDep
from collector.problems import Problem
from collector.schemas import BASE, EXAMPLES, JobAccepted, JobPage, JobRequest, JobStatus, SourceType

log = logs.get("collector.api")
router = APIRouter(prefix=BASE, tags=["jobs"])
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", examples=["nightly-2026-11-21"],
        description="The same key with the same request gives the same job, for as long as that job is kept",
    ),
]  # fmt: skip
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def rfc_3339(value: object) -> object:
    """pydantic would take a number for a time, too."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise ValueError("must be a time with its zone, as in 2026-11-21T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(rfc_3339)]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")]
OneJob = problems_of(401, 403, 404, 422, 429, 503)


@router.post(
    "/trigger",
    status_code=HTTPStatus.ACCEPTED,
    summary="Ask for a collection",
    responses={
        **problems_of(400, 401, 403, 413, 422, 429, 503),
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
    },
)
async def trigger(
    body: Annotated[JobRequest, Body(openapi_examples=EXAMPLES)],
    parts: PartsDep,
    caller: MayWrite,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> JobAccepted:
    """The job is kept when this answers, whatever happens then. Its rows are there when its status is `succeeded`."""
    config = body.config.model_dump(mode="json", exclude_unset=True)
    order = jobs.Order(body.source_type, config, parts.settings.max_attempts, idempotency_key)
    try:
        job, new = await jobs.create(parts.engine, order, caller)
    except jobs.KeyReused:
        detail = "Idempotency-Key: it came before, with another request."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail) from None
    if new:
        log.info("audit", caller=caller.name, action="trigger", job_id=str(job.id), source_type=job.source_type)
        await enqueue(parts, job)
    return accepted(job, response)


def accepted(job: Row[Any], response: Response) -> JobAccepted:
    response.headers["Location"] = status_url = url("status", job.id)
    return JobAccepted(job_id=job.id, status=State(job.state), status_url=status_url, result_url=url("result", job.id))


def url(what: str, job_id: uuid.UUID) -> str:
    return f"{BASE}/{what}/{job_id}"


async def enqueue(parts: Parts, job: Row[Any]) -> None:
    """The job is safe in PostgreSQL already: without Redis it waits until a worker's upkeep finds it there."""
    try:
        async with asyncio.timeout(parts.settings.dependency_timeout_seconds):
            await broker.put(parts.broker, job.id)
    except Exception as error:  # taskiq gives what Redis did as an error of its own
        log.warning(
            "not put into the queue; upkeep will find the job", job_id=str(job.id), error=repr(error.__cause__ or error)
        )


@router.get("/status/{job_id}", response_model=JobStatus, responses=OneJob, summary="Where a job stands")
async def get_status(job_id: uuid.UUID, parts: PartsDep, caller: MayRead) -> Response:
    """State, progress, attempts, times, and why the last attempt failed."""
    job = found(await jobs.get(parts.lookups, job_id), job_id)
    return Response(JobStatus.of(job).model_dump_json(), media_type="application/json")


def found(job: JobRow | None, job_id: uuid.UUID) -> JobRow:
    if job is None:
        raise Problem(HTTPStatus.NOT_FOUND, "job-not-found", f"There is no job {job_id}.")
    return job


@router.get("", responses=problems_of(401, 403, 422, 429, 503), summary="List jobs, newest first")
async def list_jobs(
    parts: PartsDep,
    caller: MayRead,
    status: State | None = None,
    source_type: SourceType | None = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Cursor = None,
) -> JobPage:
    """A page at a time, by the place of the last job seen: jobs that come meanwhile move nothing."""
    beyond = place(cursor) if cursor else None
    wanted = jobs.Filter(status, source_type, created_after, created_before, beyond)
    rows = await jobs.page(parts.reader, wanted, limit + 1)
    more = cursor_at(rows[limit - 1]) if len(rows) > limit else None
    return JobPage(jobs=[JobStatus.of(row) for row in rows[:limit]], next_cursor=more)


def cursor_at(job: Row[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([job.created_at.isoformat(), str(job.id)]).encode()).decode()


def place(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        created_at, job_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise ValueError
        return moment, uuid.UUID(job_id)
    except (ValueError, TypeError, AttributeError):
        detail = "query.cursor: is not one that this service has given"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail) from None


@router.post("/cancel/{job_id}", status_code=HTTPStatus.ACCEPTED, responses=OneJob | problems_of(409), summary="Cancel a job")
async def cancel(job_id: uuid.UUID, parts: PartsDep, caller: MayWrite, response: Response) -> JobAccepted:
    """A waiting job at once, a running one within seconds. 409 when it has ended."""
    job = await jobs.cancel(parts.engine, job_id, caller)
    if job is None:
        before = found(await jobs.get(parts.lookups, job_id), job_id)
        raise conflict(before, "job-has-ended", f"The job is {before.state}; there is nothing to cancel.")
    log.info("audit", caller=caller.name, action="cancel", job_id=str(job_id))
    return accepted(job, response)


@router.post("/retry/{job_id}", status_code=HTTPStatus.ACCEPTED, responses=OneJob | problems_of(409), summary="Try a job again")
async def retry(job_id: uuid.UUID, parts: PartsDep, caller: MayWrite, response: Response) -> JobAccepted:
    """A job that failed, is dead or was cancelled is queued again, with as many attempts as a new one. 409 for others."""
    job = await jobs.retry(parts.engine, job_id, parts.settings.max_attempts, caller)
    if job is None:
        before = found(await jobs.get(parts.lookups, job_id), job_id)
        raise conflict(
            before, "job-not-retryable", f"The job is {before.state}; only one that ended without a result is retried."
        )
    log.info("audit", caller=caller.name, action="retry", job_id=str(job_id))
    await enqueue(parts, job)
    return accepted(job, response)


def conflict(job: JobRow, kind: str, detail: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, kind, detail, job_status=job.state)
