"""Errors on the wire: RFC 9457 problem details."""

from http import HTTPStatus
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from collector import logs

log = logs.get("collector.problems")
UNREACHABLE = (DBAPIError, PoolTimeout, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Problem(Exception):
    """`kind` ends the problem's type, a URN: stable, for programs; `detail` is for people."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.more = status, kind, detail, more


def response(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    body = {
        "type": f"urn:collector:problem:{problem.kind}",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": request.url.path,
        **problem.more,
    }
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return response(request, error)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"at": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
    detail = "; ".join(f"{each['at']}: {each['message']}" for each in errors)
    return response(request, Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, errors=errors))


async def on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    kind = status.name.lower().replace("_", "-")
    headers = dict(error.headers) if error.headers else None
    return response(request, Problem(status, kind, str(error.detail)), headers)


async def on_unreachable(request: Request, error: Exception) -> JSONResponse:
    log.error("the database does not serve", error=f"{type(error).__name__}: {error}")
    detail = "The database does not answer or is not ready; try again."
    problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable", detail)
    return response(request, problem, {"Retry-After": "5"})


async def on_bug(request: Request, error: Exception) -> JSONResponse:
    problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", "An unexpected error; the log has it.")
    return response(request, problem)


def install(app: FastAPI) -> None:
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)
    for error in UNREACHABLE:
        app.add_exception_handler(error, on_unreachable)
