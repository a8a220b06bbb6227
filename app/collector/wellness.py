"""Health and metrics, over HTTP: without a key, for probes; nginx keeps /metrics to the inside."""

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from collector import health, logs, metrics, upkeep
from collector.parts import Parts, PartsDep
from collector.schemas import Health

log = logs.get("collector.health")
router = APIRouter(tags=["health"])
ILL: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "A part is ill"}}


async def report(parts: Parts, probes: dict[str, health.Probe], response: Response) -> Health:
    answers = await health.ask(probes)
    well = all(part.status == "ok" for part in answers.values())
    response.status_code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status="ok" if well else "ill", version=parts.settings.version, parts=answers)


@router.get("/health", responses=ILL, summary="Is every part well?")
async def get_health(parts: PartsDep, response: Response) -> Health:
    """Asks PostgreSQL, Redis and the queue, side by side and in bounded time; 503 when one is ill."""
    return await report(parts, parts.well, response)


@router.get("/health/live", summary="Does the process answer?")
async def get_live(parts: PartsDep) -> Health:
    """Nothing else is asked."""
    return Health(status="ok", version=parts.settings.version, parts={})


@router.get("/health/ready", responses=ILL, summary="Should requests be sent here?")
async def get_ready(parts: PartsDep, response: Response) -> Health:
    """PostgreSQL and Redis answer, the schema is one that this version can work with, and the process is not stopping."""
    answer = await report(parts, parts.ready, response)
    if parts.draining.is_set():
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return answer.model_copy(update={"status": "ill"})
    return answer


@router.get("/metrics", summary="For Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(parts: PartsDep) -> Response:
    """Without PostgreSQL the queue's figures are those of the last time."""
    for name, engine in (("transactions", parts.engine), ("reads", parts.reader)):
        measure_pool(name, engine)
    metrics.POOL_IN_USE.labels("lookups").set(parts.lookups.in_use())
    metrics.POOL_SIZE.labels("lookups").set(parts.lookups.pool.get_max_size())
    try:
        async with asyncio.timeout(parts.settings.dependency_timeout_seconds):
            measure_queue(await upkeep.survey(parts.reader))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("the queue was not measured", error=f"{type(error).__name__}: {error}")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def measure_pool(name: str, engine: AsyncEngine) -> None:
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    metrics.POOL_IN_USE.labels(name).set(pool.checkedout())
    metrics.POOL_SIZE.labels(name).set(pool.size())


def measure_queue(queue: upkeep.Queue) -> None:
    metrics.QUEUE_JOBS.labels("queued").set(queue.waiting)
    metrics.QUEUE_JOBS.labels("running").set(queue.running)
    metrics.QUEUE_OLDEST.set(queue.oldest_seconds)
    metrics.HEARTBEAT_AGE.clear()
    for worker, age in queue.workers.items():
        metrics.HEARTBEAT_AGE.labels(worker).set(age)
