"""The HTTP service."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import access, database, health, jobs, logs, migrate, problems, queue
from collector.models import Job, State
from collector.problems import Problem
from collector.schemas import FileJob, Health, JobAccepted, JobRequest, JobResult, JobStatus
from collector.settings import Settings

log = logs.get("collector.api")
router = APIRouter()


@dataclass(frozen=True)
class Parts:
    """What the endpoints work with."""

    settings: Settings
    engine: AsyncEngine
    redis: Redis
    probes: dict[str, health.Probe]
    ready: dict[str, health.Probe]


def make_parts(settings: Settings) -> Parts:
    engine, redis = database.engine(settings, "collector-api", 10), queue.connect(settings)
    timeout = settings.dependency_timeout_seconds
    probes = {
        "postgres": health.Probe(health.database_check(engine), timeout),
        "redis": health.Probe(health.redis_check(redis), timeout),
    }
    schema = health.Probe(health.schema_check(engine), timeout)
    return Parts(settings, engine, redis, probes, {**probes, "schema": schema})


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(parts_of)]


def create_app(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts = app.state.parts = make_parts(settings)
        if settings.migrate_on_start:
            await migrate.upgrade_with(settings)
        yield
        await parts.redis.aclose()
        await parts.engine.dispose()

    app = FastAPI(title="Data Collection Service", version=settings.version, lifespan=lifespan)
    app.include_router(router)
    app.add_middleware(access.AccessLog)
    problems.install(app)
    return app


async def report(parts: Parts, probes: dict[str, health.Probe], response: Response) -> Health:
    answers = await health.ask(probes)
    well = all(part.status == "ok" for part in answers.values())
    response.status_code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status="ok" if well else "ill", version=parts.settings.version, parts=answers)


@router.get("/health")
async def get_health(parts: PartsDep, response: Response) -> Health:
    """Ask PostgreSQL and Redis; 503 when one is ill."""
    return await report(parts, parts.probes, response)


@router.get("/health/live")
async def get_live(parts: PartsDep) -> Health:
    """This process answers; nothing else is asked."""
    return Health(status="ok", version=parts.settings.version, parts={})


@router.get("/health/ready")
async def get_ready(parts: PartsDep, response: Response) -> Health:
    """As /health, and the schema is one that this version can work with: send requests here."""
    return await report(parts, parts.ready, response)


@router.post("/api/v1/jobs/trigger", status_code=HTTPStatus.ACCEPTED)
async def trigger(body: JobRequest, parts: PartsDep, response: Response) -> JobAccepted:
    if not isinstance(body, FileJob):
        detail = f"Sources of type {body.source_type!r} are not in this version yet; it has: file."
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, "source-type-not-implemented", detail)
    check_folder(body.config.path, parts.settings)
    job = await jobs.create(parts.engine, body.source_type, body.config.model_dump())
    await enqueue(parts, job)
    response.headers["Location"] = status_url = url("status", job.id)
    return JobAccepted(job_id=job.id, status=State(job.state), status_url=status_url, result_url=url("result", job.id))


def check_folder(path: str, settings: Settings) -> None:
    if not any(PurePosixPath(path).is_relative_to(folder) for folder in settings.folders):
        permitted = ", ".join(map(str, settings.folders))
        detail = f"config.path: {path} is not below {permitted}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "path-not-permitted", detail)


def url(what: str, job_id: uuid.UUID) -> str:
    return f"/api/v1/jobs/{what}/{job_id}"


async def enqueue(parts: Parts, job: Job) -> None:
    """The job is safe in PostgreSQL already: without Redis it waits until a worker finds it there."""
    try:
        async with asyncio.timeout(parts.settings.dependency_timeout_seconds):
            await queue.put(parts.redis, job.id)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("not put into the queue; a worker will find the job later", job_id=job.id, error=str(error))


async def find(job_id: uuid.UUID, parts: PartsDep) -> Job:
    job = await jobs.get(parts.engine, job_id)
    if job is None:
        raise Problem(HTTPStatus.NOT_FOUND, "job-not-found", f"There is no job {job_id}.")
    return job


JobDep = Annotated[Job, Depends(find)]


@router.get("/api/v1/jobs/status/{job_id}")
async def get_status(job: JobDep) -> JobStatus:
    return JobStatus.of(job)


@router.get("/api/v1/jobs/result/{job_id}")
async def get_result(
    job: JobDep,
    parts: PartsDep,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> JobResult:
    """The rows of a job that succeeded, a page at a time."""
    if job.state == State.FAILED:
        raise conflict(job, "job-failed", f"The job failed: {job.error}")
    if job.state != State.SUCCEEDED:
        raise conflict(job, "job-not-finished", f"The job is {job.state}; ask again.")
    total = job.row_count or 0
    rows = await jobs.rows(parts.engine, job.id, after, limit)
    end = after + len(rows)
    return JobResult(job_id=job.id, total=total, rows=rows, next_after=end if end < total else None)


def conflict(job: Job, kind: str, detail: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, kind, detail, job_status=job.state)
