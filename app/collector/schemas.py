"""What goes over the wire, typed at the edge."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from collector.jobs import JobRow
from collector.models import State
from collector.sources import api, database, file

BASE = "/api/v1/jobs"
EXAMPLE_ID = "3f6c1a52-8a53-4f0e-9a43-5b0f2f3f7c11"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ApiJob(Strict):
    source_type: Literal["api"]
    config: api.Config


class DatabaseJob(Strict):
    source_type: Literal["database"]
    config: database.Config


class FileJob(Strict):
    source_type: Literal["file"]
    config: file.Config


JobRequest = Annotated[ApiJob | DatabaseJob | FileJob, Field(discriminator="source_type")]
SourceType = Literal["api", "database", "file"]
EXAMPLES: dict[str, Any] = {
    "api": {
        "summary": "An HTTP API whose pages are linked",
        "value": {
            "source_type": "api",
            "config": {"url": "https://crm.example.com/api/customers", "paging": {"type": "link"}},
        },
    },
    "database": {
        "summary": "Rows of a database that the settings name",
        "value": {
            "source_type": "database",
            "config": {
                "connection": "crm",
                "query": "SELECT station, value FROM readings WHERE day >= :since",
                "parameters": {"since": "2026-01-01"},
            },
        },
    },
    "file": {
        "summary": "A file below a permitted folder",
        "value": {"source_type": "file", "config": {"path": "/data/samples/readings.csv"}},
    },
}


class Progress(BaseModel):
    rows: int = Field(description="rows so far", examples=[12000])
    done: float = Field(description="what the source has worked through, in its own measure: bytes, pages, rows")
    total: float | None = Field(description="the whole in the same measure, where it is known")


class JobStatus(BaseModel):
    job_id: uuid.UUID = Field(examples=[EXAMPLE_ID])
    source_type: str = Field(examples=["file"])
    status: State
    attempt: int = Field(description="attempts begun")
    max_attempts: int
    progress: Progress | None = Field(description="of the running attempt")
    error: str | None = Field(description="why the last attempt ended without a result")
    rows: int | None = Field(description="of the result")
    requested_by: str | None = Field(description="the API key's name", examples=["crm"])
    cancel_requested: bool
    created_at: datetime
    due_at: datetime = Field(description="a waiting job does not start before")
    started_at: datetime | None = Field(description="start of the last attempt")
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="when the rows are removed")
    result_url: str = Field(examples=[f"{BASE}/result/{EXAMPLE_ID}"])

    @classmethod
    def of(cls, job: JobRow) -> "JobStatus":
        return cls(
            job_id=job.id,
            source_type=job.source_type,
            status=State(job.state),
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            progress=job.progress if job.state == State.RUNNING else None,
            error=job.error,
            rows=job.row_count,
            requested_by=job.requested_by,
            cancel_requested=job.cancel_requested,
            created_at=job.created_at,
            due_at=job.due_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            result_url=f"{BASE}/result/{job.id}",
        )


class JobAccepted(BaseModel):
    job_id: uuid.UUID = Field(examples=[EXAMPLE_ID])
    status: State
    status_url: str = Field(examples=[f"{BASE}/status/{EXAMPLE_ID}"])
    result_url: str = Field(examples=[f"{BASE}/result/{EXAMPLE_ID}"])


class JobPage(BaseModel):
    """Newest first; `next_cursor` asks for the next page and is null on the last."""

    jobs: list[JobStatus]
    next_cursor: str | None


class JobResult(BaseModel):
    """A page of rows; `next_after` asks for the next one and is null on the last."""

    job_id: uuid.UUID = Field(examples=[EXAMPLE_ID])
    total: int
    rows: list[dict[str, Any]] = Field(examples=[[{"station": "north", "value": "7.4"}]])
    next_after: int | None


class PartHealth(BaseModel):
    status: Literal["ok", "ill"]
    ms: float = Field(description="how long the answer took")
    error: str | None = None


class Health(BaseModel):
    status: Literal["ok", "ill"]
    version: str = Field(examples=["1.0.0"])
    parts: dict[str, PartHealth]


class FieldError(BaseModel):
    at: str = Field(examples=["body.file.config.path"])
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457. `type` is stable, for programs; `detail` is for people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:collector:problem:job-not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str
    instance: str
    errors: Annotated[list[FieldError] | None, Field(description="one for each wrong field")] = None
