"""The settings of the sources: limits, folders, networks. Part of collector.settings.Settings: each has a COLLECTOR_<NAME>."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

Network = IPv4Network | IPv6Network


class Connection(BaseModel):
    """A database that jobs may name. The password is the secret of that name; it never stands in the URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="SQLAlchemy URL without a password", examples=["postgresql://reader@crm.example/crm"])
    password: str | None = Field(None, description="name of the secret", examples=["crm_password"])
    ca_file: Path | None = Field(None, description="the server must show a certificate of this authority")

    @field_validator("url")
    @classmethod
    def no_password(cls, url: str) -> str:
        authority = url.partition("://")[2].partition("/")[0]
        if "://" not in url or ":" in authority.rpartition("@")[0] or "password=" in url:
            raise ValueError("must be a URL without a password; `password` names the secret that holds it")
        return url


class SourceSettings(BaseModel):
    folders: tuple[Path, ...] = Field((Path("/data/inbox"), Path("/data/samples")), description="permitted to read")
    max_file_bytes: int = Field(2 * 2**30, ge=1, description="of a file, or of all answers of an API, unpacked")
    max_rows: int = Field(20_000_000, ge=1, description="of one job")
    max_record_bytes: int = Field(4 * 2**20, ge=64, description="of one record, and of one line of a file")
    max_source_seconds: float = Field(3600, gt=0, description="how long a source of type api or database may take")

    source_secrets: Path = Field(
        Path("/run/secrets"), description="where the files source_<name> lie, that a config may refer to by <name>"
    )
    source_networks: tuple[Network, ...] = Field(
        (), description="networks that are not public and still permitted to sources of type api"
    )
    source_networks_refused: tuple[Network, ...] = Field(
        (), description="never permitted, whatever else says so; for the service's own networks"
    )
    source_hosts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="names that may also lie at private addresses (10.0.0.0/8 and the like, fc00::/7)"
    )
    source_ca_file: Path | None = Field(None, description="certificates (PEM) of authorities trusted besides public ones")
    source_connections: dict[str, Connection] = Field({}, description="databases that jobs may name")

    api_timeout_seconds: float = Field(30, gt=0, description="for the connection, and for each wait for bytes")
    api_max_response_bytes: int = Field(32 * 2**20, ge=1, description="of one answer, unpacked")
    api_max_pages: int = Field(10_000, ge=1)
    api_tries: int = Field(5, ge=1, le=20, description="of one request")
    api_backoff_seconds: float = Field(0.5, gt=0, description="the wait before the second try; doubled for each further")
    api_max_wait_seconds: float = Field(60, gt=0, description="a longer Retry-After gives the job back")
