"""What need not be made again, since earlier bundles hold it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from deploybundle import sources
from deploybundle.open import Bundle, Image, Layer


class Known:
    """What earlier bundles hold; the first that has it counts. `layers` by diffID, `kept` by the blob's own digest."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self.layers: dict[str, tuple[Bundle, Layer]] = {}
        self.kept: dict[str, tuple[Bundle, Layer]] = {}
        self.configs: dict[str, Image] = {}
        self.blobs = {digest: at for bundle in reversed(bundles) for digest, at in bundle.blobs.items()}
        for bundle, image in [(each, image) for each in bundles for image in each.images.values()]:
            self.configs.setdefault(image.config_digest, image)
            for layer in image.layers:
                if image.kept:
                    self.kept.setdefault(layer.blob.digest, (bundle, layer))
                else:
                    self.layers.setdefault(layer.diff_id, (bundle, layer))

    def has(self, image: sources.ImageInfo) -> bool:
        """Whether all of the image is here."""
        if image.kept:
            return all(layer.digest in self.kept for layer in image.kept.layers)
        return image.config_digest in self.configs and set(image.diff_ids) <= set(self.layers)

    def open(self, diff_id: str) -> BinaryIO:
        """A layer's raw tar. KeyError if no bundle has it."""
        kept = (pair for pair in self.kept.values() if pair[1].diff_id == diff_id)
        bundle, layer = self.layers.get(diff_id) or next(kept)
        return bundle.open_layer(layer)
