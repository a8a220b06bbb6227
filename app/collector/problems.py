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

MEDIA_TYPE = "application/problem+json"
log = logs.get("collector.problems")
UNREACHABLE = (DBAPIError, PoolTimeout, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Problem(Exception):
    """`kind` ends the problem's type, a URN: stable, for programs; `detail` is for people."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers, self.more = status, kind, detail, headers, more


def response(path: str, problem: Problem) -> JSONResponse:
    body = {
        "type": f"urn:collector:problem:{problem.kind}",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": path,
        **problem.more,
    }
    return JSONResponse(body, problem.status, problem.headers, media_type=MEDIA_TYPE)


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return response(request.url.path, error)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"at": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
    detail = "; ".join(f"{each['at']}: {each['message']}" for each in errors)
    problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, errors=errors)
    return response(request.url.path, problem)


LARGE = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request-too-large", "The request is larger than permitted.")


class TooLarge(HTTPException):
    """Of this family, because FastAPI makes a 400 of any other error that comes up while it reads the body."""

    def __init__(self) -> None:
        super().__init__(LARGE.status)


async def on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error, TooLarge):
        return response(request.url.path, LARGE)
    status = HTTPStatus(error.status_code)
    kind = status.name.lower().replace("_", "-")
    headers = dict(error.headers) if error.headers else None
    return response(request.url.path, Problem(status, kind, str(error.detail), headers))


async def on_unreachable(request: Request, error: Exception) -> JSONResponse:
    log.error("the database does not serve", error=f"{type(error).__name__}: {error}")
    detail = "The database does not answer or is not ready; try again."
    problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable", detail, {"Retry-After": "5"})
    return response(request.url.path, problem)


async def on_bug(request: Request, error: Exception) -> JSONResponse:
    problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", "An unexpected error; the log has it.")
    return response(request.url.path, problem)


def install(app: FastAPI) -> None:
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)
    for error in UNREACHABLE:
        app.add_exception_handler(error, on_unreachable)
