"""A vendor who makes a small bundle, for tests."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory_images import MemoryImages, layer

from deploybundle import pack, trust
from deploybundle.open import Bundle, open_bundle

TIME = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


BASE = layer({"etc/os-release": b"Debian\n" * 4000})
NGINX = layer({"usr/sbin/nginx": noise(1, 30_000)})
APP = layer({"app/main.py": b"print()\n" * 500})


@dataclass
class Vendor:
    """A vendor at work: his key, his images, his project."""

    home: Path
    signer: trust.Signer
    source: MemoryImages
    meta: dict[str, Any]
    files: dict[str, Path]
    wheels: dict[str, list[Path]]
    tools: dict[str, Path]
    known: list[Bundle] = field(default_factory=list)

    def build(self, name: str = "collector.bundle.tar", **changes: Any) -> pack.Built:
        """Build into dist/, with some arguments changed."""
        refs = sorted(self.source.images)
        parts = {
            "images": self.source.inspect(refs),
            "clock": lambda: TIME,
            **{name: getattr(self, name) for name in ("meta", "source", "files", "wheels", "tools", "signer", "known")},
        }
        return pack.build(self.home / "dist" / name, **{**parts, **changes})

    def open(self, name: str = "collector.bundle.tar") -> Bundle:
        """Open as the site does, with the vendor's key."""
        return open_bundle(self.home / "dist" / name, [self.signer.public])


def make_vendor(home: Path) -> Vendor:
    """A vendor whose project has every kind of content."""

    def write(name: str, content: bytes, mode: int = 0o644) -> Path:
        path = home / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    trust.generate(home / "vendor", None)
    images = {"collector/nginx:1.0.0": [BASE, NGINX], "collector/app:1.0.0": [BASE, APP]}
    files = {name: write(name, f"# {name}\n".encode()) for name in ("compose.yaml", "config/nginx.conf.j2")}
    files["scripts/start"] = write("scripts/start", b"#!/bin/sh\n", 0o755)
    wheel, tool = write("x-1-py3-none-any.whl", noise(2, 700)), write("install.py", b"print('installed')\n")
    meta = {"schema": 1, "name": "collector", "version": "1.0.0", "services": {"app": {"image": "collector/app:1.0.0"}}}
    signer = trust.load_private(home / "vendor", None)
    return Vendor(home, signer, MemoryImages(images), meta, files, {"3.11": [wheel], "3.13": [wheel]}, {"installer": tool})
