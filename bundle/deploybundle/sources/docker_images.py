"""Images from the Docker daemon of this machine, through Docker's own SDK."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from deploybundle.release import Port

from .archive import read_archive
from .engine_stream import ask
from .images import Config, DaemonUnreachable, Exported, ExportFailed, ImageInfo, ImageMissing
from .overlay import EngineDisk

try:
    import docker
    from docker.errors import DockerException, ImageNotFound
except ImportError:  # a deploy node makes no bundles, and has no SDK
    docker = None  # type: ignore[assignment]


class DockerImages:
    """Reads images: from the engine's own disk where we may (`disk`), else by one call of its API for all of them."""

    def __init__(self, client: Any = None, *, disk: bool = True) -> None:
        self._api = client or connected()  # its stubs leave half of it untyped
        self._disk = EngineDisk.find(self._api.info()) if disk else None

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
                asked = [stack.enter_context(ask(self._api, "/images/get", {"names": half})) for half in _halves(images)]
                for archive in asked:
                    yield from read_archive(archive())
        except (OSError, http.client.HTTPException) as error:
            raise ExportFailed(str(error), place="Docker", hint="look at the daemon's log") from error

    def _inspect(self, ref: str) -> ImageInfo | None:
        about = inspected(self._api, ref)
        return _info(ref, about) if about else None


def inspected(api: Any, ref: str) -> dict[str, Any] | None:
    """What the engine says of an image; None if it has none of this name."""
    try:
        return dict(api.inspect_image(ref))
    except ImageNotFound:
        return None
    except (DockerException, OSError) as error:
        raise DaemonUnreachable(str(error), place="Docker") from error


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


def connected() -> Any:
    """The API of this machine's engine. DaemonUnreachable."""
    if docker is None:
        raise DaemonUnreachable("Docker's SDK is not installed", place="Docker", hint="pip install 'deployctl[vendor]'")
    try:
        return docker.from_env(version="auto", timeout=60).api
    except DockerException as error:
        reason = "permission denied on its socket" if "Permission" in str(error) else "the daemon does not answer"
        raise DaemonUnreachable(reason, place="Docker", hint="is it running, and may you use it? try `docker info`") from error


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
