"""Deltas: only what earlier bundles lack; small files together in one frame, changed layers as patches."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from deploybundle import sources, trust
from deploybundle.open import BlobAt, Bundle, Delta, Layer, Patch, Since, media
from deploybundle.open.delta import NAMESPACE, spell
from deploybundle.open.patch import apply
from deploybundle.open.streams import CHUNK
from deploybundle.open.tar import BLOCK, END, header, padding
from deploybundle.pack import patches
from deploybundle.pack.partial import Sink
from deploybundle.pack.writer import Blob, Writer

SMALL = 64 << 10  # bytes; a blob up to that goes among the small files
IN_MEMORY = 512 << 20  # a layer up to that is compared in memory, a larger one on disk
WORTH = 0.9  # a patch travels if it is that much smaller than the layer


class DeltaWriter(Writer):
    """Writes what `held` lacks. Blobs that it has are told as if they were written, so that the index is the same."""

    def __init__(self, sink: Sink, held: Mapping[str, BlobAt]) -> None:
        super().__init__(sink, BLOCK)
        self.held, self.small, self.large = held, dict[str, bytes](), set[str]()
        sink.write(header(media.DELTA, 0), 0)

    def stream(self, chunks: Iterable[bytes], keep: Callable[[Blob], bool] = lambda _: True) -> Blob:
        """Small blobs are kept for the end; the bundle's others are not written."""
        rest, first = iter(chunks), list[bytes]()
        while sum(map(len, first)) <= SMALL:
            chunk = next(rest, None)
            if chunk is None:
                return self._small(b"".join(first), keep)
            first.append(chunk)
        blob = super().stream(itertools.chain(first, rest), lambda blob: blob.digest not in self.held and keep(blob))
        self._note(blob)
        return blob

    def _note(self, blob: Blob) -> None:
        if blob.digest in self.blobs:
            self.large.add(blob.digest)
        if blob.digest in self.held:
            self.blobs[blob.digest] = blob

    def _small(self, data: bytes, keep: Callable[[Blob], bool]) -> Blob:
        blob = Blob(f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
        if blob.digest not in self.held and keep(blob):
            self.small[blob.digest] = data
        if blob.digest in self.held or blob.digest in self.small:
            self.blobs[blob.digest] = blob
        return blob

    def copy(self, sources: Mapping[str, BlobAt]) -> None:
        """Those that are held are not copied, and not looked at."""
        for digest, at in sources.items():
            if digest in self.held:
                self.blobs[digest] = Blob(digest, at.size)
        new = {digest: at for digest, at in sources.items() if digest not in self.blobs}
        super().copy(new)
        self.large |= set(new)

    @property
    def carried(self) -> frozenset[str]:
        """The blobs that were written."""
        return frozenset({*self.small, *(self.large - set(self.held))})

    def finish(self, head: Mapping[str, bytes]) -> int:
        """Write the small files and the end. Returns the delta's size in bytes."""
        names = {name: head[name] for name in media.DELTA_LIMITS}
        names |= {media.BLOBS + digest.removeprefix("sha256:"): data for digest, data in sorted(self.small.items())}
        inner = b"".join(header(name, len(data)) + data + bytes(padding(len(data))) for name, data in names.items()) + END
        packed = zstandard.ZstdCompressor(level=19).compress(inner)
        name = media.SMALL.format(hashlib.sha256(packed).hexdigest())
        for data in (header(name, len(packed)), packed, bytes(padding(len(packed)))):
            self.sink.write(data, self.at)
            self.at += len(data)
        return self.end()


def head_of(index: bytes, signed: Mapping[str, bytes], delta: Delta, signer: trust.Signer) -> dict[str, bytes]:
    """The head of a delta: that of the whole bundle, and the delta's own words with their signature."""
    own = spell(delta)
    return {
        **{name: signed[name] for name in media.DELTA_LIMITS if name in signed},
        "index.json": index,
        "deployctl/delta.json": own,
        "deployctl/delta.sshsig": trust.sshsig(own, signer, NAMESPACE),
    }


@dataclass
class Patcher:
    """Makes patches. `bases` are, by diffID of a new layer, the old layers that it may have come from."""

    folder: Path
    bases: Mapping[str, tuple[Bundle, Layer]]
    made: dict[str, Patch] = field(default_factory=dict)

    @contextlib.contextmanager
    def spool(self, size: int) -> Iterator[BinaryIO]:
        """Room for a raw layer: in memory, a large one on disk."""
        if size <= IN_MEMORY:
            with os.fdopen(os.memfd_create("layer"), "w+b") as file:
                yield cast(BinaryIO, file)
        else:
            with tempfile.TemporaryFile(dir=self.folder) as disk:
                yield cast(BinaryIO, disk)

    def patch(self, diff_id: str, new: BinaryIO, packed: int) -> bytes | None:
        """The patch that makes this layer, if one is smaller than the layer's own `packed` bytes; proven by applying it."""
        if diff_id not in self.bases:
            return None
        bundle, base = self.bases[diff_id]
        with self.spool(base.raw_size) as old, bundle.open_layer(base) as stream:
            while chunk := stream.read(CHUNK):
                old.write(chunk)
            with _mapped(old) as before, _mapped(new) as after:
                found = patches.make(old, before, new, after)
                if found is None or len(found) > packed * WORTH or not _proven(found, before, diff_id):
                    return None
                return found

    def note(self, diff_id: str, blob: Blob) -> None:
        """The patch is in the bundle."""
        self.made[diff_id] = Patch(diff_id, self.bases[diff_id][1].diff_id, blob.digest)


@contextlib.contextmanager
def _mapped(file: BinaryIO) -> Iterator[memoryview]:
    file.flush()
    file.seek(0)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
        yield view


def _proven(patch: bytes, old: memoryview, diff_id: str) -> bool:
    def piece(offset: int, size: int) -> BinaryIO:
        return io.BytesIO(patch[offset : offset + size])

    found = hashlib.sha256()
    for chunk in apply(piece, len(patch), lambda offset, size: old[offset : offset + size].tobytes(), "the new patch"):
        found.update(chunk)
    return f"sha256:{found.hexdigest()}" == diff_id


def bases_of(images: Sequence[sources.ImageInfo], since: Sequence[Bundle]) -> dict[str, tuple[Bundle, Layer]]:
    """For each layer that no earlier bundle has, the layer of the same image that it probably replaces: of those that the new
    image has not, the one in the same place, or else of the most similar place.
    """
    held = {layer.diff_id for bundle in since for image in bundle.images.values() for layer in image.layers}
    found: dict[str, tuple[Bundle, Layer]] = {}
    for image in images:
        for bundle, layers in _earlier(image, since):
            left = [pair for pair in enumerate(layers) if pair[1].diff_id not in image.diff_ids and pair[1].raw_size]
            for place, diff_id in enumerate(image.diff_ids):
                if diff_id not in held and left:
                    best = min(left, key=lambda one: (abs(one[0] - place), -one[1].raw_size))
                    found.setdefault(diff_id, (bundle, best[1]))
    return found


def _earlier(image: sources.ImageInfo, since: Sequence[Bundle]) -> Iterator[tuple[Bundle, Sequence[Layer]]]:
    name = _repository(image.ref)
    for bundle in since:
        for ref, other in bundle.images.items():
            if _repository(ref) == name:
                yield bundle, other.layers


def _repository(ref: str) -> str:
    """An image's name without tag and digest."""
    name = ref.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def delta_of(index: str, since: Sequence[Bundle], writer: DeltaWriter, patcher: Patcher) -> Delta:
    """What the delta says of itself."""
    rest = [blob.size for digest, blob in writer.blobs.items() if digest in writer.held]
    origin = tuple(Since(bundle.index_digest, f"{bundle.name} {bundle.version}") for bundle in since)
    return Delta(index, origin, patcher.made, writer.carried, (len(rest), sum(rest)))
