"""The bills of materials of a build: what is known of a layer is kept by its diff_id, what was written by what it is of."""

from __future__ import annotations

import hashlib
import importlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from deploybundle import sources
from deploybundle.open.boms import RELEASE, bom_name
from deploybundle.open.streams import CHUNK
from deploybundle.sources.inventory import VERSION, Findings, Inventory, LayerScan, python_metadata, stacked
from deploybundle.sources.part import Part

OpenLayer = Callable[[str], BinaryIO]


@dataclass
class Boms:
    """Writes them below `cache`. `others`: software of the release that is in no image; `time` is the source's, or empty."""

    cache: Path
    name: str
    version: str
    time: str = ""
    others: Sequence[Part] = ()
    found: dict[str, Findings] = field(default_factory=dict)

    def members(self, images: Sequence[sources.ImageInfo], open_layer: OpenLayer) -> dict[str, Path]:
        """The release's bill and each image's, as files. `open_layer` reads a layer of which nothing is known."""
        known = {image.ref: _Once([self._findings(diff_id, open_layer) for diff_id in image.diff_ids]) for image in images}
        boms = {bom_name(image.ref): self._image(image, known[image.ref]) for image in images}
        return {**boms, RELEASE: self._release(images, known)}

    def _image(self, image: sources.ImageInfo, known: _Once) -> Path:
        what = ("image", image.ref, image.config_digest)
        return self._kept(what, lambda: _writer().image_sbom(image.ref, image.config_digest, known.get()))

    def _release(self, images: Sequence[sources.ImageInfo], known: Mapping[str, _Once]) -> Path:
        others = [asdict(part) for part in self.others]
        what = ("release", self.name, self.version, self.time, [(one.ref, one.config_digest) for one in images], others)
        return self._kept(what, lambda: _writer().release_sbom(self.name, self.version, self.time, self._parts(images, known)))

    def _parts(self, images: Sequence[sources.ImageInfo], known: Mapping[str, _Once]) -> list[Part]:
        held = [(image, known[image.ref].get()) for image in images]
        return [*(Part("container", one.ref, one.config_digest, has.software, has.system) for one, has in held), *self.others]

    def keep(self, diff_id: str, findings: Findings) -> None:
        """Remember what a layer holds."""
        self.found[diff_id] = findings
        _write(self._layer_file(diff_id), json.dumps(asdict(findings)).encode())

    def _findings(self, diff_id: str, open_layer: OpenLayer) -> Findings:
        if diff_id not in self.found:
            kept = _read(self._layer_file(diff_id))
            if kept is None:
                self.keep(diff_id, scanned(open_layer(diff_id)))
            else:
                self.found[diff_id] = kept
        return self.found[diff_id]

    def _layer_file(self, diff_id: str) -> Path:
        return self.cache / "inventory" / f"v{VERSION}" / f"{diff_id.removeprefix('sha256:')}.json"

    def _kept(self, what: object, write: Callable[[], bytes]) -> Path:
        digest = hashlib.sha256(json.dumps([VERSION, what], sort_keys=True).encode()).hexdigest()
        path = self.cache / "sbom" / f"v{VERSION}" / f"{digest}.cdx.json"
        if not path.exists():
            _write(path, write())
        return path


@dataclass
class _Once:
    """An image's layers, put together only if somebody asks."""

    layers: list[Findings]
    made: Inventory | None = None

    def get(self) -> Inventory:
        self.made = self.made or stacked(self.layers)
        return self.made


def scanned(layer: BinaryIO) -> Findings:
    """What a layer's raw tar holds."""
    scan = LayerScan()
    with layer:
        while chunk := layer.read(CHUNK):
            scan.feed(chunk)
    return scan.end()


def _writer() -> Any:
    """Its library takes a tenth of a second to load: a build in which nothing changed does without."""
    return importlib.import_module("deploybundle.sources.sbom")


def wheel_parts(wheels: Mapping[str, Sequence[Path]]) -> list[Part]:
    """The deploy node's Python packages, as their wheels say (PEP 427)."""
    return [
        Part("application", f"deployctl for Python {python}", "", tuple(one for path in paths for one in _of_wheel(path)), {})
        for python, paths in sorted(wheels.items())
    ]


def _of_wheel(path: Path) -> list[sources.Software]:
    try:
        with zipfile.ZipFile(path) as wheel:
            name = next(name for name in wheel.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
            return list(python_metadata(wheel.read(name).decode("utf-8", "replace")))
    except (OSError, zipfile.BadZipFile, StopIteration):
        return []


def _read(path: Path) -> Findings | None:
    try:
        return Findings(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{id(content)}.partial")
    partial.write_bytes(content)
    partial.replace(path)
