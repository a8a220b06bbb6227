"""What goes over the wire, typed at the edge."""

import uuid
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from collector.models import Job, State


def plain_path(value: str) -> str:
    """An absolute path without `.`, `..` or doubled slashes. Which folders are permitted is checked later."""
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or str(path) != value or "\0" in value:
        raise ValueError("must be an absolute path without '.', '..' or doubled slashes")
    return value


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileConfig(Strict):
    path: Annotated[str, Field(max_length=4096, examples=["/data/samples/readings.csv"]), AfterValidator(plain_path)]
    format: Literal["auto", "csv", "json", "jsonl"] = "auto"


class FileJob(Strict):
    source_type: Literal["file"]
    config: FileConfig


class ApiJob(Strict):
    source_type: Literal["api"]
    config: dict[str, Any]


class DatabaseJob(Strict):
    source_type: Literal["database"]
    config: dict[str, Any]


JobRequest = Annotated[FileJob | ApiJob | DatabaseJob, Field(discriminator="source_type")]


class JobStatus(BaseModel):
    job_id: uuid.UUID
    source_type: str
    status: State
    error: str | None
    rows: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobStatus":
        return cls(
            job_id=job.id,
            source_type=job.source_type,
            status=State(job.state),
            error=job.error,
            rows=job.row_count,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


class JobAccepted(BaseModel):
    job_id: uuid.UUID
    status: State
    status_url: str
    result_url: str


class JobResult(BaseModel):
    """A page of rows; `next_after` asks for the next one and is null on the last."""

    job_id: uuid.UUID
    total: int
    rows: list[dict[str, Any]]
    next_after: int | None


class PartHealth(BaseModel):
    status: Literal["ok", "ill"]
    ms: float
    error: str | None = None


class Health(BaseModel):
    status: Literal["ok", "ill"]
    version: str
    parts: dict[str, PartHealth]
