"""Somebody with the vendor's key who writes what he likes, for tests and for the fuzzer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory_images import digest
from vendors import TIME, Vendor

from deploybundle import trust
from deploybundle.open import Bundle, open_bundle
from deploybundle.open.tar import header, padding
from deploybundle.pack import index as oci
from deploybundle.trust import canonical

HEAD = 40960
Change = Callable[[dict[str, Any]], Any]


class Forger:
    """Somebody with the vendor's key who writes what he likes."""

    def __init__(self, vendor: Vendor, tmp_path: Path) -> None:
        self.bundle, self.signer, self.path = vendor.open(), vendor.signer, tmp_path / "forged.bundle.tar"
        self.blobs = [self.bundle.read(blob) for blob in self.bundle.blobs]
        self.index = json.loads(self.bundle.index)
        self.index["annotations"]["dev.deployctl.head"] = str(HEAD)

    def replace(self, old: bytes, new: bytes) -> None:
        """Put another blob in the place of one, wherever it is named."""
        self.blobs[self.blobs.index(old)] = new
        for place, blob in enumerate(self.blobs):
            if blob != new and digest(old).encode() in blob:
                changed = blob.replace(digest(old).encode(), digest(new).encode())
                sizes = rb'("digest":"%s","mediaType":"[^"]*","size":)%d' % (digest(new).encode(), len(old))
                self.replace(self.blobs[place], re.sub(sizes, rb"\g<1>%d" % len(new), changed))
        text = json.dumps(self.index).replace(digest(old), digest(new))
        self.index = json.loads(text)
        for entry in self.index["manifests"]:
            if entry["digest"] == digest(new):
                entry["size"] = len(new)

    def manifest(self, place: int, change: Change) -> None:
        """Change a manifest by its place in the index."""
        old = self.bundle.read(self.index["manifests"][place]["digest"])
        value = json.loads(old)
        change(value)
        self.replace(old, canonical.dumps(value))

    def open(self, index: bytes | None = None) -> Bundle:
        """Write, sign and open it."""
        self.path.write_bytes(self.forged(index))
        return open_bundle(self.path, [self.signer.public])

    def forged(self, index: bytes | None = None) -> bytes:
        """The whole file, signed."""
        index = canonical.dumps(self.index) if index is None else index
        parts = {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": index,
            "deployctl/index.dsse.json": trust.dsse(index, self.signer, "x", TIME),
            "deployctl/index.sshsig": trust.sshsig(index, self.signer),
            "deployctl/vendor.pub": f"{self.signer.public.ssh_line}\n".encode(),
        }
        found = [("blobs/sha256/" + digest(blob)[7:], blob) for blob in self.blobs]
        files = [header(name, len(blob)) + blob + bytes(padding(len(blob))) for name, blob in found]
        return oci.head(HEAD, parts) + b"".join(files) + bytes(1024)
