"""The floor of a status request: Starlette, asyncpg, the same SELECT, and nothing else. `python floor.py PORT DSN`."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector.models import Job

COLUMNS = ", ".join(column.name for column in Job.__table__.columns)
SELECT = f"SELECT {COLUMNS} FROM jobs WHERE id = $1"


async def status(request: Request) -> Response:
    row = await request.app.state.pool.fetchrow(SELECT, UUID(request.path_params["job_id"]))
    return Response(json.dumps(dict(row), default=str), media_type="application/json")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(sys.argv[2], min_size=8, max_size=8) as app.state.pool:
        yield


app = Starlette(routes=[Route("/api/v1/jobs/status/{job_id}", status)], lifespan=lifespan)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False, server_header=False)
