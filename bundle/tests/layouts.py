"""OCI image layouts as others write them, for tests."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard
from memory_images import digest

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
MANIFEST, INDEX, CONFIG = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json", f"{OCI}.config.v1+json"
PACKED: dict[str, Callable[[bytes], bytes]] = {
    f"{OCI}.layer.v1.tar+gzip": lambda raw: gzip.compress(raw, mtime=0),
    f"{OCI}.layer.v1.tar+zstd": lambda raw: zstandard.ZstdCompressor(level=1, write_content_size=False).compress(raw),
    f"{OCI}.layer.v1.tar": bytes,
    f"{DOCKER}.image.rootfs.diff.tar.gzip": lambda raw: gzip.compress(raw, mtime=1),
}
GZIP = next(iter(PACKED))


class Layout:
    """A layout in the making: blobs, and an index's entries."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        self.entries: list[dict[str, Any]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob there; its descriptor."""
        self.files[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def image(self, raws: Sequence[bytes], media_type: str = GZIP, *, docker: bool = False, **more: Any) -> dict[str, Any]:
        """Put an image there; its manifest's descriptor. It is spelled with spaces and keys of its own, as others do."""
        config = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [*map(digest, raws)]},
            **more,
        }
        layers = [self.blob(PACKED[media_type](raw), media_type) for raw in raws]
        kind = f"{DOCKER}.distribution.manifest.v2+json" if docker else MANIFEST
        described = self.blob(json.dumps(config, indent=1).encode(), f"{DOCKER}.container.image.v1+json" if docker else CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": layers, "annotations": {"by": "them"}}
        return self.blob(json.dumps(manifest, indent=3).encode(), kind)

    def name(self, entry: Mapping[str, Any], **notes: str) -> None:
        """Name an image in the index; `containerd` and `ref` are the two ways."""
        keys = {"containerd": "io.containerd.image.name", "ref": "org.opencontainers.image.ref.name"}
        self.entries.append({**entry, "annotations": {keys[key]: value for key, value in notes.items()}})

    def listed(self, *names: str) -> Layout:
        """With Docker's own list, too, as `docker save` writes it: the classic store reads nothing else."""

        def blob(part: Mapping[str, Any]) -> str:
            return f"blobs/sha256/{part['digest'][7:]}"

        found = [json.loads(self.files[blob(entry)]) for entry in self.entries]
        self.files["manifest.json"] = json.dumps([
            {"RepoTags": [name], "Config": blob(one["config"]), "Layers": [*map(blob, one["layers"])]}
            for name, one in zip(names, found, strict=True)
        ]).encode()  # fmt: skip
        return self

    def all(self) -> dict[str, bytes]:
        """Every file."""
        return {**self.files, "index.json": json.dumps({"schemaVersion": 2, "manifests": self.entries}).encode()}

    def folder(self, path: Path) -> Path:
        """As a folder."""
        for name, data in self.all().items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path

    def archive(self, path: Path) -> Path:
        """As a tar, folders and all, as `docker save` has them."""
        with tarfile.open(path, "w") as tar:
            folder = tarfile.TarInfo("blobs/sha256")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for name, data in sorted(self.all().items()):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return path
