"""The settings: environment first (COLLECTOR_*), then /etc/collector/collector.toml, then the defaults below.

A wrong or unknown setting stops the start and is named. Secrets come from files, never from the environment.
"""

import difflib
import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from sqlalchemy import URL

from collector.sources.settings import SourceSettings

PREFIX = "COLLECTOR_"
SHORTEST_KEY = 32
DEFAULT_FILE = "/etc/collector/collector.toml"
VERSION_FILE = Path("/app/VERSION")


class SettingsError(Exception):
    """A setting is wrong: the person who starts the service must act."""


def shipped_version() -> str:
    """The version that the image was built as."""
    return VERSION_FILE.read_text().strip() if VERSION_FILE.is_file() else "development"


class Settings(SourceSettings, BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    version: str = Field(default_factory=shipped_version, description="shown by /health")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    listen_host: str = "0.0.0.0"
    listen_port: int = Field(8000, ge=1, le=65535)
    drain_seconds: int = Field(25, ge=1, le=600, description="time for open requests and the running job after SIGTERM")

    database_host: str = "postgres"
    database_port: int = Field(5432, ge=1, le=65535)
    database_name: str = "collector"
    database_user: str = "collector"
    database_password_file: Path = Path("/run/secrets/postgres_password")
    database_wait_seconds: int = Field(60, ge=0, le=3600, description="how long an upgrade waits for the database")
    lock_timeout_ms: int = Field(5000, ge=1, description="how long an upgrade waits for a lock before it gives up")
    database_pool_size: int = Field(8, ge=1, le=100, description="connections of each pool; the API has three")
    migrate_on_start: bool = Field(False, description="the API brings the schema up to date; for a laptop")

    redis_host: str = "redis"
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password_file: Path = Path("/run/secrets/redis_password")

    authentication: Literal["api-keys", "off"] = Field("api-keys", description="off: everybody may do everything")
    admin_api_key_file: Path | None = Field(None, description="a key with every scope, named `admin`; 32 characters or more")
    key_cache_seconds: float = Field(5.0, ge=0, le=300, description="a revoked key is refused after this time at the latest")
    rate_limit_per_second: float = Field(500.0, ge=0, description="of each key, in each API process; 0: no limit")
    rate_limit_burst: int = Field(1000, ge=1, description="requests that a key may send at once")
    unknown_keys_per_second: float = Field(10.0, ge=0, description="looked up for each client's address; 0: no limit")
    max_body_bytes: int = Field(2**20, ge=1024, description="a larger request is refused with 413")
    request_seconds: float = Field(15.0, gt=0, le=300, description="an answer that has not begun by then is a 503")
    linger_seconds: float = Field(2.0, ge=0, le=60, description="after SIGTERM: still accepting, telling callers to close")

    dependency_timeout_seconds: float = Field(2.0, gt=0, le=60, description="how long /health waits for each part")
    queue_ill_seconds: float = Field(300.0, gt=0, description="/health: jobs that wait longer, while no worker lives, are ill")
    worker_concurrency: int = Field(4, ge=1, le=64, description="jobs that one worker process runs at once")
    worker_metrics_port: int = Field(9100, ge=0, le=65535, description="the worker's /metrics; 0: none")
    lease_seconds: int = Field(60, ge=1, le=3600, description="a job whose worker is silent this long is taken over")
    job_seconds: float = Field(3600.0, gt=0, description="an attempt that takes longer has failed and is tried again")
    max_attempts: int = Field(5, ge=1, le=100, description="then a job is dead until somebody retries it")
    retry_seconds: float = Field(5.0, gt=0, description="pause before the second attempt; doubled for each further one")
    retry_cap_seconds: float = Field(300.0, gt=0, description="the longest pause")
    result_days: float = Field(30.0, gt=0, description="then a job's rows are removed, and its result is 410")
    job_days: float = Field(365.0, gt=0, description="then an ended job itself is removed")
    heartbeat_file: Path = Path("/tmp/collector-worker.alive")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(f"{PREFIX}CONFIG", DEFAULT_FILE)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    @cached_property
    def database_url(self) -> URL:
        password = read_secret("database_password_file", self.database_password_file).get_secret_value()
        host, port = self.database_host, self.database_port
        return URL.create("postgresql+asyncpg", self.database_user, password, host, port, self.database_name)

    @cached_property
    def admin_key_digest(self) -> bytes | None:
        """The SHA-256 of the key in `admin_api_key_file`; None without one."""
        if self.admin_api_key_file is None:
            return None
        value = read_secret("admin_api_key_file", self.admin_api_key_file).get_secret_value()
        if len(value) < SHORTEST_KEY:
            name = f"{PREFIX}ADMIN_API_KEY_FILE"
            raise SettingsError(f"setting admin_api_key_file ({name}): the key is shorter than {SHORTEST_KEY} characters")
        return hashlib.sha256(value.encode()).digest()

    @cached_property
    def redis_password(self) -> SecretStr:
        return read_secret("redis_password_file", self.redis_password_file)


def load() -> Settings:
    """Read and check everything, secrets included. Raises SettingsError with one line for each problem."""
    problems = unknown_names(os.environ)
    try:
        settings = Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(problems + describe(error))) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"setting {PREFIX}CONFIG: cannot read the configuration file: {error}") from None
    if problems:
        raise SettingsError("\n".join(problems))
    _ = settings.database_url, settings.redis_password, settings.admin_key_digest
    return settings


def unknown_names(environment: "os._Environ[str] | dict[str, str]") -> list[str]:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {f"{PREFIX}CONFIG"}
    strangers = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    return [f"setting {name}: unknown{nearest(name, known)}" for name in strangers]


def nearest(name: str, known: set[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def describe(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        hint = nearest(name, set(Settings.model_fields)) if problem["type"] == "extra_forbidden" else ""
        got = f", got {problem['input']!r}" if problem["type"] != "missing" else ""
        lines.append(f"setting {name} ({PREFIX}{name.upper()}): {problem['msg']}{got}{hint}")
    return lines


def read_secret(setting: str, path: Path) -> SecretStr:
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"setting {setting} ({PREFIX}{setting.upper()}): cannot read {path}: {error}") from None
    if not value:
        raise SettingsError(f"setting {setting} ({PREFIX}{setting.upper()}): {path} is empty")
    return SecretStr(value)
