"""Files of a bundle as one tar: what a host gets of packages, sent once, and known to the byte before."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from deploybundle.open import Descriptor

BLOCK = 512
CHUNK = 1 << 20


class Opens(Protocol):
    """What opens a blob by its digest; a bundle does."""

    def open(self, digest: str) -> BinaryIO:
        """The blob as a stream that verifies itself."""


def pool_size(sizes: Sequence[int]) -> int:
    """The exact size of the tar of files of these sizes, in bytes."""
    return sum(BLOCK + size + -size % BLOCK for size in sizes) + 2 * BLOCK


def pool(bundle: Opens, files: Sequence[tuple[str, Descriptor]]) -> Iterator[bytes]:
    """The tar, as it is sent. A blob that is not what was signed ends it with BlobDamaged before its last byte."""
    for name, descriptor in files:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = descriptor.size, 0o644
        yield entry.tobuf(tarfile.USTAR_FORMAT)
        with bundle.open(descriptor.digest) as blob:
            while chunk := blob.read(CHUNK):
                yield chunk
        yield bytes(-descriptor.size % BLOCK)
    yield bytes(2 * BLOCK)
