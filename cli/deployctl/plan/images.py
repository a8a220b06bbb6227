"""Which layers a host lacks. Layers count from the bottom: a layer is there only on top of the same ones below it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from deploybundle.open import Image
from deployctl.desired import HostDesired
from deployctl.hosts.loading import in_order
from deployctl.hosts.wire import loaded_ids, wire
from deployctl.plan.model import Encoding, ImageStep

Facts = Mapping[str, Any]
Chain = tuple[str, ...]


def encoding(facts: Facts) -> Encoding:
    """How images travel: the bundle's own zstd frames, where the engine reads them."""
    return "zstd" if facts["docker"]["zstd_ok"] else "raw"


def held(host: HostDesired, images: Mapping[str, Image], facts: Facts) -> bool:
    """Whether the host's containers alone show that it has all its images under their tags: nobody need ask for more."""
    shown = {(container.get("named"), container["image_id"]) for container in facts["containers"] if "named" in container}
    return all(
        any((service.tag, name) in shown for name in loaded_ids(images[service.ref])) for service in host.services.values()
    )


def image_steps(host: HostDesired, images: Mapping[str, Image], facts: Facts) -> tuple[ImageStep, ...]:
    """The images to send, each counting on what the ones before it bring."""
    if held(host, images, facts):
        return ()
    chains = {tuple(image["diff_ids"]) for image in facts["images"]}
    return tuple(_steps(host, images, facts, chains))


def _steps(host: HostDesired, images: Mapping[str, Image], facts: Facts, chains: set[Chain]) -> Iterator[ImageStep]:
    tags = {service.ref: service.tag for service in host.services.values()}
    for ref in [image.ref for image in in_order([images[ref] for ref in host.refs])]:
        chain = tuple(layer.diff_id for layer in images[ref].layers)
        if _there(tags[ref], chain, facts):
            continue
        yield _step(images[ref], tags[ref], range(_shared(chain, chains), len(chain)), encoding(facts))
        chains.add(chain)


def _there(tag: str, chain: Chain, facts: Facts) -> bool:
    """The tag carries the config's digest; the layers are compared as well, since a tag can be moved by hand."""
    return any(tag in image["tags"] and tuple(image["diff_ids"]) == chain for image in facts["images"])


def _shared(chain: Chain, chains: Iterable[Chain]) -> int:
    """How many layers from the bottom the host has already."""
    return max((_prefix(chain, other) for other in chains), default=0)


def _prefix(one: Chain, other: Chain) -> int:
    pairs = list(zip(one, other, strict=False))
    return next((number for number, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _step(image: Image, tag: str, missing: range, how: Encoding) -> ImageStep:
    size, _ = wire(image, missing, how, _never, tag=tag)
    unpacked = sum(image.layers[number].raw_size for number in missing)
    return ImageStep(image.ref, tag, image.config_digest, tuple(missing), size, unpacked)


def _never(digest: str) -> BinaryIO:
    return io.BytesIO()
