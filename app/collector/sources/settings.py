"""The settings of the sources: limits, folders, networks. Part of collector.settings.Settings: each is COLLECTOR_<NAME>."""

from pathlib import Path

from pydantic import BaseModel, Field


class SourceSettings(BaseModel):
    folders: tuple[Path, ...] = Field((Path("/data/inbox"), Path("/data/samples")), description="permitted to read")
    max_file_bytes: int = Field(64 * 2**20, ge=1)
    max_rows: int = Field(1_000_000, ge=1)
    source_secrets: Path = Field(
        Path("/run/secrets"), description="where the files source_<name> lie, that a config may refer to by <name>"
    )
