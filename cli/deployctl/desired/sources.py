"""What a desired state is computed from, beside the release and the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploybundle.open import Image
from deployctl.desired.model import File
from deployctl.secrets import Secret


@dataclass(frozen=True)
class Sources:
    """The release's files by relative name, where Compose saw them, its images by reference, and the secrets' values."""

    project_dir: Path
    files: Mapping[str, File]
    images: Mapping[str, Image]
    secrets: Mapping[str, Secret]
