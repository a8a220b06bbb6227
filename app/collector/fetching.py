"""The result of a job, over HTTP: a page as JSON, or all of it as JSON Lines or CSV."""

import re
import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from collector import jobs, results
from collector.contract import problems_of
from collector.endpoints import conflict, found
from collector.jobs import JobRow
from collector.models import State
from collector.parts import MayFetch, PartsDep
from collector.problems import Problem
from collector.schemas import BASE, JobResult

router = APIRouter(prefix=BASE, tags=["jobs"])
JSON, CSV = "application/json", "text/csv"
LINES = ("application/x-ndjson", "application/jsonl")
STREAMS = {**dict.fromkeys(LINES, results.json_lines), CSV: results.csv_lines}
TEXT = {"schema": {"type": "string"}}
CONTENT: dict[str, Any] = {
    LINES[0]: {**TEXT, "example": '{"station":"north","value":"7.4"}\n'},
    LINES[1]: {**TEXT, "example": '{"station":"north","value":"7.4"}\n'},
    CSV: {**TEXT, "example": "station,value\r\nnorth,7.4\r\n"},
}
QUALITY = re.compile(r"\s*q\s*=\s*([0-9.]+)\s*")


@router.get(
    "/result/{job_id}",
    response_model=JobResult,
    responses={200: {"content": CONTENT}, **problems_of(401, 403, 404, 406, 409, 410, 422, 429, 503)},
    summary="The rows of a job that succeeded",
)
async def get_result(
    job_id: uuid.UUID,
    parts: PartsDep,
    caller: MayFetch,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    after: Annotated[int, Query(ge=0, le=2**62, description="JSON only: rows after this number")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000, description="JSON only: rows on a page")] = 1000,
) -> Response:
    """By `Accept`: a page as JSON, or all rows as JSON Lines or CSV. CSV has a column for every name that occurs in any row."""
    kind = chosen(accept)
    job = finished(found(await jobs.get(parts.lookups, job_id), job_id))
    if kind == JSON:
        rows = await results.page(parts.reader, job.id, after, limit)
        return Response(paged(job, rows, after), media_type=JSON)
    return StreamingResponse(STREAMS[kind](parts.reader, job.id), media_type=kind, headers={"Vary": "Accept"})


def finished(job: JobRow) -> JobRow:
    """Raises Problem: 409 or 410."""
    if job.state in (State.FAILED, State.DEAD, State.CANCELLED):
        raise conflict(job, f"job-{job.state}", f"The job is {job.state}{': ' + job.error if job.error else ''}.")
    if job.state != State.SUCCEEDED:
        raise conflict(job, "job-not-finished", f"The job is {job.state}; ask again.")
    if job.expired_at is not None:
        detail = f"The rows were removed at {job.expired_at.isoformat()}."
        raise Problem(HTTPStatus.GONE, "result-expired", detail, job_status=job.state)
    return job


def paged(job: JobRow, rows: list[str], after: int) -> str:
    """JobResult as JSON; the rows are JSON already."""
    end, total = after + len(rows), job.row_count or 0
    more = end if rows and end < total else "null"
    return f'{{"job_id":"{job.id}","total":{total},"rows":[{",".join(rows)}],"next_after":{more}}}'


def chosen(accept: str | None) -> str:
    """The media type that the caller likes best. Raises Problem: 406."""
    ranked = sorted(preferences(accept or "*/*"), key=lambda each: -each[1])
    for name, quality in ranked:
        if quality > 0 and (match := offered(name)):
            return match
    known = ", ".join([JSON, *STREAMS])
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, "not-acceptable", f"Accept: {accept!r}: this gives {known}.")


def preferences(accept: str) -> list[tuple[str, float]]:
    made = []
    for each in accept.split(","):
        name, *parameters = each.split(";")
        qualities = [float(match[1]) for part in parameters if (match := QUALITY.fullmatch(part)) and match[1].count(".") < 2]
        made.append((name.strip().lower(), qualities[0] if qualities else 1.0))
    return made


def offered(name: str) -> str | None:
    if name in ("*/*", "application/*", JSON):
        return JSON
    if name in STREAMS:
        return name
    return CSV if name == "text/*" else None
