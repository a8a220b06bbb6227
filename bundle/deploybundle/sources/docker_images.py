"""Images from the Docker daemon of this machine."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from deploybundle.release import Port

from .archive import read_archive
from .engine import Engine, connected, info, inspected, saved
from .images import Config, Exported, ExportFailed, ImageInfo, ImageMissing
from .overlay import EngineDisk


class DockerImages:
    """Reads images: from the engine's own disk where we may (`disk`), else by one call of its API for all of them."""

    def __init__(self, engine: Engine | None = None, *, disk: bool = True) -> None:
        self._engine = engine or connected()
        self._disk = EngineDisk.find(info(self._engine)) if disk else None

    def inspect(self, refs: Sequence[str], *, used_by: Mapping[str, Sequence[str]] | None = None) -> list[ImageInfo]:
        """Facts of each image; raises ImageMissing with all that are not there."""
        found = {ref: self._inspect(ref) for ref in dict.fromkeys(refs)}
        missing = [ref for ref, info in found.items() if info is None]
        if missing:
            raise ImageMissing(missing, used_by or {})
        return [info for info in found.values() if info is not None]

    def export(self, images: Sequence[ImageInfo], have: Collection[str]) -> Iterator[Exported]:
        """What of the images is wanted; from the API comes all of an image, if only one layer of it is."""
        configs: set[str] = set()
        if self._disk:
            for part in _from_disk(self._disk, images, have):
                yield part
                configs |= {part.digest} if isinstance(part, Config) else set()
        left = [image for image in images if image.config_digest not in configs or not have_all(have, image)]
        if left:
            yield from self._from_api(left)

    def _from_api(self, images: Sequence[ImageInfo]) -> Iterator[Exported]:
        """An engine first writes all layers to its disk, then sends: while one half is sent, the other is being written."""
        try:
            with contextlib.ExitStack() as stack:
                asked = [stack.enter_context(saved(self._engine, half)) for half in _halves(images)]
                for archive in asked:
                    yield from read_archive(archive())
        except (OSError, http.client.HTTPException) as error:
            raise ExportFailed(str(error), place="Docker", hint="look at the daemon's log") from error

    def _inspect(self, ref: str) -> ImageInfo | None:
        about = inspected(self._engine, ref)
        return _info(ref, about) if about else None


def have_all(have: Collection[str], image: ImageInfo) -> bool:
    """Whether no layer of the image is wanted any more."""
    return all(diff_id in have for diff_id in image.diff_ids)


def _halves(images: Sequence[ImageInfo]) -> list[list[str]]:
    """The names in two lists of about the same bytes, the smaller first."""
    halves: tuple[list[ImageInfo], list[ImageInfo]] = ([], [])
    for image in sorted({image.ref: image for image in images}.values(), key=lambda image: (-image.size, image.ref)):
        min(halves, key=_size).append(image)
    return [[image.ref for image in half] for half in sorted(halves, key=_size) if half]


def _size(images: Sequence[ImageInfo]) -> int:
    return sum(image.size for image in images)


def _from_disk(disk: EngineDisk, images: Sequence[ImageInfo], have: Collection[str]) -> Iterator[Exported]:
    for image in images:
        if config := disk.config(image.config_digest):
            yield config
        for number, diff_id in enumerate(image.diff_ids, 1):
            if diff_id not in have and (layer := disk.layer(image.diff_ids[:number])):
                yield layer


def _info(ref: str, image: Mapping[str, Any]) -> ImageInfo:
    exposed = (image.get("Config") or {}).get("ExposedPorts") or {}
    return ImageInfo(
        ref=ref,
        config_digest=image["Id"],
        diff_ids=tuple((image.get("RootFS") or {}).get("Layers") or ()),
        size=int(image["Size"]),
        exposed=tuple(sorted(map(_port, exposed))),
    )


def _port(text: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(int(number), "udp" if protocol == "udp" else "tcp")
