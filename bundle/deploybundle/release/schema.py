"""What may stand below `x-deployctl`, typed. Unknown keys are refused; the reference page is made from this."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

Protocol = Literal["tcp", "udp"]
Target = Literal["debian-12", "debian-13"]
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
TO = re.compile(r"(?P<name>[a-zA-Z0-9][a-zA-Z0-9_.-]*):(?P<port>[0-9]{1,5})(?:/(?P<protocol>tcp|udp))?")
SEGMENT = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"  # the name of a group of an inventory
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
DURATION = re.compile(r"(?:[0-9]+(?:ms|s|m|h))+")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _flow_target(value: str) -> str:
    found = TO.fullmatch(value)
    if not found or not 1 <= int(found["port"]) <= 65535:
        raise ValueError(f'expected "name:port" or "name:port/udp", got "{value}"')
    return value


def _duration(value: str) -> str:
    if not DURATION.fullmatch(value):
        raise ValueError(f'expected a duration such as "30s" or "1m30s", got "{value}"')
    return value


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f'expected a path that begins with "/", got "{value}"')
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class FlowSpec(_Strict):
    """One line of `flows`: from a service or a network outside, to ports of services or of targets outside."""

    source: Annotated[list[StrictStr], BeforeValidator(_listed), Field(alias="from", min_length=1)]
    target: Annotated[
        list[Annotated[StrictStr, AfterValidator(_flow_target)]],
        BeforeValidator(_listed),
        Field(alias="to", min_length=1, examples=["api:8000", "dns:53/udp"]),
    ]


class SecretSpec(_Strict):
    """A secret that the site holds: how it is made when it is not there yet."""

    kind: Literal["password", "tls", "opaque"] = "opaque"
    length: Annotated[StrictInt, Field(ge=8, le=4096, description="characters of a password")] = 32
    hosts: Annotated[list[StrictStr], Field(description="names in a TLS certificate")] = []


class ServiceSpec(_Strict):
    """`x-deployctl` of one service."""

    segment: Annotated[StrictStr | None, Field(examples=["dmz", "internal", "data"], pattern=SEGMENT)] = None
    strategy: Literal["recreate", "blue-green"] = "recreate"
    migrate: Annotated[list[StrictStr] | None, Field(description="a command, run once before the switch")] = None
    ready: Annotated[StrictStr, AfterValidator(_path), Field(examples=["/health/ready"])] | None = None
    drain: Annotated[StrictStr, AfterValidator(_duration), Field(examples=["30s"])] | None = None
    state: dict[str, Any] | None = None


class ReleaseSpec(_Strict):
    """`x-deployctl` at the top of compose.yaml."""

    version: Annotated[StrictStr | None, Field(examples=["1.1.0"], pattern=VERSION)] = None
    targets: Annotated[
        list[Target], Field(description="distributions whose Docker Engine and Compose the bundle carries, for hosts without")
    ] = []
    config: Annotated[StrictStr | None, Field(description="folder of templates", examples=["config/"])] = None
    flows: list[FlowSpec] = []
    secrets: dict[str, SecretSpec | None] = {}
