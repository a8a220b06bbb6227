"""What a job of type `api` says."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collector.sources import urls
from collector.sources.formats import JsonPath

SecretName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["crm_token"])]
Parameter = Annotated[str, Field(min_length=1, max_length=200)]
Scalar = str | int | float | bool
OURS = {
    "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect",
    "accept-encoding", "content-encoding",
}  # fmt: skip
CREDENTIALS = re.compile(r"auth|cookie|token|secret|password|credential|session|api-?key|access-?key")
HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def checked_url(text: str) -> str:
    urls.parse(text)
    return text


def checked_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError("is no name of a header")
    if name.lower() in OURS:
        raise ValueError(f"the header {name} is set by the service")
    return name


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if CREDENTIALS.search(checked_name(name).lower()):
            raise ValueError(f"the header {name} looks like a credential; name its secret in `auth`")
        if not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name} may hold printable ASCII only")
    return headers


class Bearer(Strict):
    type: Literal["bearer"]
    secret: SecretName


class Basic(Strict):
    type: Literal["basic"]
    username: Annotated[str, Field(max_length=200, pattern=r"^[^:\x00-\x1f\x7f]*$", examples=["reader"])]
    secret: SecretName


class Header(Strict):
    """The secret as the value of a header."""

    type: Literal["header"]
    name: Annotated[str, Field(max_length=100, examples=["X-Api-Key"]), AfterValidator(checked_name)]
    secret: SecretName


class LinkPaging(Strict):
    """The answer says where the next page is: in its Link header (RFC 8288, rel="next"), or at a path in its JSON."""

    type: Literal["link"]
    path: JsonPath | None = Field(
        None, min_length=1, description="in the JSON; without it: the Link header", examples=["links.next"]
    )


class CursorPaging(Strict):
    """The answer holds a cursor that the next request repeats; none, null or "" on the last page."""

    type: Literal["cursor"]
    path: JsonPath = Field(min_length=1, examples=["meta.next_cursor"])
    parameter: Parameter = Field(examples=["cursor"])
    place: Literal["query", "body"] = Field("query", description="body: a field of the JSON that is posted")


class PagePaging(Strict):
    """Counted pages, or an offset (`step` then is the size). The last page is empty, or shorter than `size`."""

    type: Literal["page"]
    parameter: Parameter = Field("page", examples=["page", "offset"])
    start: int = Field(1, ge=0)
    step: int = Field(1, ge=1)
    size: int | None = Field(None, ge=1, description="records of a full page: a shorter one is the last")
    place: Literal["query", "body"] = "query"


class Config(Strict):
    url: Annotated[str, Field(max_length=4096, examples=["https://crm.example/api/readings"]), AfterValidator(checked_url)]
    method: Literal["GET", "POST"] = "GET"
    query: dict[Parameter, Scalar | list[Scalar]] = Field(
        {}, description="added to the URL", examples=[{"since": "2026-01-01"}]
    )
    headers: Annotated[dict[str, str], AfterValidator(checked_headers)] = Field({}, description="no credentials here: `auth`")
    body: dict[str, Any] | None = Field(None, description="JSON for POST", examples=[{"since": "2026-01-01"}])
    auth: Annotated[Bearer | Basic | Header, Field(discriminator="type")] | None = None
    paging: Annotated[LinkPaging | CursorPaging | PagePaging, Field(discriminator="type")] | None = None
    format: Literal["auto", "json", "jsonl"] = Field(
        "auto", description="auto: by the answer's Content-Type; JSON if that does not say"
    )
    records: JsonPath = Field("", description="for JSON: where the array of records lies; empty: the document itself")

    @model_validator(mode="after")
    def belong(self) -> Self:
        if self.body is not None and self.method != "POST":
            raise ValueError("`body` belongs to the method POST")
        if getattr(self.paging, "place", "query") == "body" and self.method != "POST":
            raise ValueError("`paging.place` body belongs to the method POST")
        if self.format == "jsonl" and (self.records or getattr(self.paging, "path", None)):
            raise ValueError("paths belong to JSON, not to JSON Lines")
        return self
