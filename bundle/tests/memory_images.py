"""A real second source of images, in memory: made from plain files, counted when asked to export."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deploybundle.sources import Config, Exported, ImageInfo, ImageMissing, Layer


def digest(data: bytes) -> str:
    """`sha256:…` of these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(files: Mapping[str, bytes]) -> bytes:
    """A layer's raw tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@dataclass
class MemoryImages:
    """Images by name, each a list of raw layers. `exports` are the lists of names that were asked for."""

    images: dict[str, list[bytes]]
    expose: tuple[str, ...] = ("8000/tcp",)
    exports: list[list[str]] = field(default_factory=list)

    def config(self, ref: str) -> bytes:
        """An image's configuration, as the daemon would spell it."""
        ids = [digest(raw) for raw in self.images[ref]]
        exposed = {port: {} for port in self.expose}
        value = {"os": "linux", "config": {"ExposedPorts": exposed}, "rootfs": {"type": "layers", "diff_ids": ids}}
        return json.dumps(value).encode()

    def inspect(self, refs: Sequence[str], *, used_by: Mapping[str, Sequence[str]] | None = None) -> list[ImageInfo]:
        """Facts of each image."""
        missing = [ref for ref in refs if ref not in self.images]
        if missing:
            raise ImageMissing(missing, used_by or {})
        return [self._info(ref) for ref in refs]

    def _info(self, ref: str) -> ImageInfo:
        layers = self.images[ref]
        return ImageInfo(ref, digest(self.config(ref)), tuple(map(digest, layers)), sum(map(len, layers)))

    def export(self, images: Sequence[ImageInfo], have: Collection[str]) -> Iterator[Exported]:
        """All layers and configs, a shared layer once for each image that has it; as old engines, it looks at no `have`."""
        refs = [image.ref for image in images]
        self.exports.append(refs)
        for ref in refs:
            for raw in self.images[ref]:
                yield Layer(io.BytesIO(raw), len(raw))
            config = self.config(ref)
            yield Config(digest(config), config)
