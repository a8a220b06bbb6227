"""What a delta may look at beside itself: bundles that are there already, and layers that were rebuilt from patches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploybundle.open import media
from deploybundle.open.medium import OneFile
from deploybundle.open.types import BlobAt, Descriptor, Layer

Find = Callable[[str], Path | None]
_NAME = re.compile(r"[0-9a-f]{64}\.([0-9a-f]{64})\.zst")


@dataclass(frozen=True)
class Around:
    """`find` answers the bundle of an index's digest, or None; `rebuilt` is the folder of rebuilt layers."""

    find: Find = lambda _: None
    rebuilt: Path | None = None

    def layer(self, diff_id: str, raw_size: int) -> tuple[Layer, BlobAt] | None:
        """A layer that was rebuilt before, compressed here; its file's name says its digest."""
        for path in self.rebuilt.glob(f"{diff_id.removeprefix('sha256:')}.*.zst") if self.rebuilt else ():
            if match := _NAME.fullmatch(path.name):
                size = path.stat().st_size
                blob = Descriptor(media.LAYER, f"sha256:{match[1]}", size, {media.RAW_SIZE: str(raw_size)})
                return Layer(diff_id, raw_size, blob), BlobAt(OneFile(path, size), 0, size)
        return None


def rebuilt_name(diff_id: str, digest: str) -> str:
    """The file name of a rebuilt layer."""
    return f"{diff_id.removeprefix('sha256:')}.{digest.removeprefix('sha256:')}.zst"
