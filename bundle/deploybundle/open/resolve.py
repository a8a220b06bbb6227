"""Where the blobs of a delta lie: in itself, in the bundles that it counts on, among the rebuilt layers, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploybundle.open import streams
from deploybundle.open.around import Around
from deploybundle.open.bundle import Bundle
from deploybundle.open.content import Content
from deploybundle.open.delta import Delta, Patch
from deploybundle.open.problems import AGAIN, BaseMissing, BundleDamaged
from deploybundle.open.types import BlobAt, Image, Layer


@dataclass
class Resolver:
    """`own` are the blobs that the delta carries; `bases` the bundles of `delta.since` that are there."""

    place: str
    delta: Delta
    own: Mapping[str, BlobAt]
    bases: Sequence[Bundle]
    around: Around
    blobs: dict[str, BlobAt] = field(default_factory=dict)
    pending: dict[str, Patch] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def fetch(self, digest: str, limit: int) -> bytes:
        """A blob that must be there to read on."""
        at = self._find(digest)
        if at is None:
            raise self.missing([])
        return streams.read_blob(at, digest, limit, f"{at.path}: blob {digest} at offset {at.offset}")

    def _find(self, digest: str) -> BlobAt | None:
        places = (base.blobs.get(digest) for base in self.bases)
        return self.own.get(digest) or next((at for at in places if at), None)

    def images(self, content: Content) -> dict[str, Image]:
        """The images, their layers as they can be read here; fills `blobs` and `pending`. Raises BaseMissing."""
        images = {ref: self._image(image) for ref, image in content.images.items()}
        layers = {layer.blob.digest for image in content.images.values() for layer in image.layers}
        for digest, size in content.named.items():
            if digest not in layers:
                self._put(digest, size, self._find(digest))
        patches = {patch.blob for patch in self.delta.patches.values()}
        if set(self.own) - set(content.named) - patches or patches - set(self.own):
            raise BundleDamaged("carries other blobs than it names", place=self.place, hint=AGAIN)
        if self.absent:
            raise self.missing(self.absent)
        self.blobs |= {digest: self.own[digest] for digest in patches}
        return images

    def _image(self, image: Image) -> Image:
        return replace(image, layers=tuple(self._layer(layer) for layer in image.layers))

    def _layer(self, layer: Layer) -> Layer:
        """The layer as the index has it, or with another blob of the same raw bytes, or as it is until it is rebuilt."""
        if at := self._find(layer.blob.digest):
            self._put(layer.blob.digest, layer.blob.size, at)
            return layer
        for found, place in self._others(layer):
            self.blobs[found.blob.digest] = place
            return found
        if layer.diff_id in self.delta.patches:
            self.pending[layer.diff_id] = self.delta.patches[layer.diff_id]
        else:
            self.absent.append(layer.blob.digest)
        return layer

    def _others(self, layer: Layer) -> list[tuple[Layer, BlobAt]]:
        held = [(base, one) for base in self.bases for image in base.images.values() for one in image.layers]
        same = [
            (one, base.blobs[one.blob.digest])
            for base, one in held
            if one.diff_id == layer.diff_id and one.blob.digest in base.blobs
        ]
        rebuilt = self.around.layer(layer.diff_id, layer.raw_size)
        return [*same, *([rebuilt] if rebuilt else [])]

    def _put(self, digest: str, size: int, at: BlobAt | None) -> None:
        if at is None:
            self.absent.append(digest)
        elif at.size != size:
            raise BundleDamaged(f"blob {digest}: expected {size} bytes, got {at.size}", place=str(at.path), hint=AGAIN)
        else:
            self.blobs[digest] = at

    def missing(self, absent: Sequence[str]) -> BaseMissing:
        """The error: which bundles are wanted, and what of them."""
        here = {base.index_digest for base in self.bases}
        wanted = [each for each in self.delta.since if each.index not in here] or list(self.delta.since)
        count, size = self.delta.needs
        what = f"needs {len(absent) or count} blobs" + ("" if absent else f" ({size} bytes)")
        bundles = " or ".join(f"{each.release} (index {each.index})" for each in wanted)
        listed = "".join(f"\n{digest}" for digest in absent[:20]) + ("\n…" if len(absent) > 20 else "")
        hint = "bring that bundle, or the whole release instead of this delta; nothing was changed"
        return BaseMissing(f"{what} of {bundles}, which is not here{listed}", place=self.place, hint=hint)
