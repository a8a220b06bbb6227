"""What a delta says of itself: which bundles it counts on, what it carries, which layers are patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import zstandard

from deploybundle.open import media
from deploybundle.open.content import DIGEST
from deploybundle.open.problems import AGAIN, BundleDamaged, BundleTooNew
from deploybundle.trust import canonical

SCHEMA = 1
NAMESPACE = "deployctl-delta"


@dataclass(frozen=True)
class Since:
    """A bundle that the site is taken to have: the digest of its index, and its release ("collector 1.0.0")."""

    index: str
    release: str


@dataclass(frozen=True)
class Patch:
    """A layer that travels as a patch: `diff_id` is made from the layer `base` by the blob `blob`."""

    diff_id: str
    base: str
    blob: str


@dataclass(frozen=True)
class Delta:
    """A delta's own words, signed: `blobs` are those that it carries; `needs` counts the others, and their bytes."""

    index: str
    since: tuple[Since, ...]
    patches: dict[str, Patch]
    blobs: frozenset[str]
    needs: tuple[int, int]


def spell(delta: Delta) -> bytes:
    """The one spelling."""
    return canonical.dumps({
        "schema": SCHEMA,
        "index": delta.index,
        "since": [{"index": each.index, "release": each.release} for each in delta.since],
        "patches": {diff_id: {"from": patch.base, "blob": patch.blob} for diff_id, patch in delta.patches.items()},
        "blobs": sorted(delta.blobs),
        "needs": {"blobs": delta.needs[0], "bytes": delta.needs[1]},
    })  # fmt: skip


def parse(data: bytes, place: str) -> Delta:
    """The same, read. BundleTooNew or BundleDamaged."""
    try:
        value = canonical.loads(data)
        if value["schema"] != SCHEMA:
            hint = "use a newer deployctl: that of the vendor's last full bundle"
            raise BundleTooNew(
                f"expected a delta of schema {SCHEMA}, got {str(value['schema'])[:40]!r}", place=place, hint=hint
            )
        delta = _read(value)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BundleDamaged(f"not a delta's own words: {error!r}", place=place, hint=AGAIN) from error
    if spell(delta) != data:
        raise BundleDamaged("not in the one spelling", place=place, hint=AGAIN)
    return delta


def _read(value: Any) -> Delta:
    since = tuple(Since(_digest(each["index"]), str(each["release"])[:300]) for each in value["since"])
    patches = {_digest(key): Patch(key, _digest(each["from"]), _digest(each["blob"])) for key, each in value["patches"].items()}
    needs = (int(value["needs"]["blobs"]), int(value["needs"]["bytes"]))
    return Delta(_digest(value["index"]), since, patches, frozenset(map(_digest, value["blobs"])), needs)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise ValueError(f"expected a digest, got {str(value)[:80]!r}")
    return value


def unpack(data: bytes, place: str) -> bytes:
    """The small files of a delta: one zstd frame, whose size its header says."""
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if not 0 <= size <= media.SMALL_LIMIT:
            raise BundleDamaged(f"expected at most {media.SMALL_LIMIT} bytes, got {size}", place=place, hint=AGAIN)
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=media.SMALL_LIMIT, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BundleDamaged(f"cannot be decompressed: {error}", place=place, hint=AGAIN) from error
