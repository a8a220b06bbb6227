"""OpenAPI: what FastAPI does not know by itself."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from collector.problems import MEDIA_TYPE
from collector.schemas import ProblemDetails

SAYS = {
    400: "The body cannot be read as text",
    401: "No API key, or one that is unknown, expired or revoked",
    403: "The key lacks the scope, or the settings do not permit the source",
    404: "There is no such job",
    406: "None of the media types in `Accept` is offered",
    409: "The job is in another state",
    410: "The rows have been removed",
    413: "The request is too large",
    422: "The request is wrong; `errors` names each field",
    429: "Too many requests; `Retry-After` says when",
    503: "PostgreSQL does not answer; try again",
}
SCHEMA = "#/components/schemas/ProblemDetails"
DESCRIPTION = """Takes collection jobs, runs them in workers, keeps the rows.

A job that has been accepted ends exactly once: `succeeded`, `failed`, `dead` (tried as often as permitted) or `cancelled`.
Errors are problem details (RFC 9457)."""


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: problem(SAYS[status]) for status in statuses}


def problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMA}}}}


def install(app: FastAPI) -> None:
    app.openapi = lambda: document(app)  # type: ignore[method-assign]


def document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        schemas = made["components"]["schemas"]
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schemas["ProblemDetails"].pop("$defs", {}))
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema
