"""Images from an engine with the containerd store: it keeps manifests and layers as they were pulled, and so do we.

It calls an image by its manifest (or by the index that holds it), whose config it does not tell; its `docker save` is an OCI
layout. So an image's manifest and config are kept in the cache by that name, which never means anything else, and the archive
is made only for what nobody has yet: into a file without a name beside the cache, since its blobs come in their digests' order.
"""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from deploybundle import oci
from deploybundle.whole import write_whole

from .docker_images import DockerImages
from .engine import Engine, connected, info, inspected, saved
from .images import Exported, ExportFailed, ImageInfo, ImageMissing, ImageSource, Kept
from .layout import Layout, LayoutInvalid, image_info, layout_of, open_archive

PLACE = Path("docker save")
CHUNK = 1 << 20


def docker_images(cache: Path) -> ImageSource:
    """The images of this machine's engine, whichever store it has."""
    engine = connected()
    drivers = dict(map(tuple, info(engine).get("DriverStatus") or []))
    if str(drivers.get("driver-type", "")).startswith("io.containerd.snapshotter"):
        return ContainerdImages(engine, cache)
    return DockerImages(engine)


class ContainerdImages:
    """Reads images of an engine with the containerd store; the layers of those that were inspected in one archive, once."""

    def __init__(self, engine: Engine, cache: Path) -> None:
        self._engine, self._cache = engine, cache / "manifests"
        self._refs: list[str] = []
        self._archive: Layout | None = None
        self._file: BinaryIO | None = None

    def inspect(self, refs: Sequence[str], *, used_by: Mapping[str, Sequence[str]] | None = None) -> list[ImageInfo]:
        """Facts of each image; raises ImageMissing with all that are not there."""
        found = {ref: inspected(self._engine, ref) for ref in dict.fromkeys(refs)}
        missing = [ref for ref, about in found.items() if about is None]
        if missing:
            raise ImageMissing(missing, used_by or {})
        self._refs = list(found)
        return [self._info(ref, str(about["Id"])) for ref, about in found.items() if about]

    def export(self, images: Sequence[ImageInfo], have: Collection[str]) -> Iterator[Exported]:
        """Nothing: its images are kept as they are."""
        return iter(())

    def _info(self, ref: str, name: str) -> ImageInfo:
        kept = self._cache / f"{name.removeprefix('sha256:')}.json"
        try:
            value = json.loads(kept.read_text())
            return self._image(ref, value["manifest"].encode(), value["media_type"], value["config"].encode())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            info = self._layout().find(ref)
        if info is None or info.kept is None:
            raise ExportFailed(f"{ref} is not in the archive", place="Docker", hint="look at the daemon's log")
        self._cache.mkdir(parents=True, exist_ok=True)
        _write(kept, info.kept)
        return self._image(ref, info.kept.manifest, info.kept.media_type, info.kept.config)

    def _image(self, ref: str, manifest: bytes, media_type: str, config: bytes) -> ImageInfo:
        layers = oci.read_manifest(manifest, media_type).layers
        return image_info(ref, Kept(manifest, media_type, config, layers, self._open, "Docker"))

    def _open(self, part: oci.Part) -> BinaryIO:
        return self._layout().open(part)

    def _layout(self) -> Layout:
        if self._archive is None:
            self._archive = self._saved()
        return self._archive

    def _saved(self) -> Layout:
        self._cache.mkdir(parents=True, exist_ok=True)
        self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=self._cache))  # noqa: SIM115  (read as long as we live)
        try:
            with saved(self._engine, self._refs) as answer:
                stream = answer()
                while chunk := stream.read(CHUNK):
                    self._file.write(chunk)
            self._file.flush()
            return layout_of(PLACE, open_archive(Path(f"/proc/self/fd/{self._file.fileno()}")))
        except (OSError, http.client.HTTPException, LayoutInvalid) as error:
            raise ExportFailed(str(error), place="Docker", hint="look at the daemon's log, and at this disk") from error


def _write(path: Path, kept: Kept) -> None:
    value = {"manifest": kept.manifest.decode(), "media_type": kept.media_type, "config": kept.config.decode()}
    write_whole(path, json.dumps(value).encode())
