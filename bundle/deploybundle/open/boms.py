"""What a bundle says of its software: the bills of materials that its index names, read as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deploybundle.errors import InputError, did_you_mean
from deploybundle.open.bundle import Bundle
from deploybundle.open.problems import AGAIN, BundleDamaged
from deploybundle.trust import canonical

RELEASE = "release.cdx.json"
LIMIT = 64 << 20


class NoBom(InputError):
    """The bundle has no bill of materials of that name.

    `deployctl inspect BUNDLE` lists the images that it holds; bundles of an early deployctl have no bills of materials.
    """

    code = "no-bom"


@dataclass(frozen=True)
class Software:
    """One component: `kind` is its package URL's type (deb, pypi, npm), `licences` identifiers, expressions or names."""

    kind: str
    name: str
    version: str
    licences: tuple[str, ...]


def bom_name(ref: str) -> str:
    """The file of an image's bill of materials."""
    return f"{quote(ref, safe='')}.cdx.json"


def bom(bundle: Bundle, image: str = "") -> bytes:
    """The bill of materials of an image, or of the whole release, as it was signed. Raises NoBom."""
    named = bundle.kinds.get("sbom", {})
    name = bom_name(image) if image else RELEASE
    if name not in named:
        what = f'no image "{image}"' if image and named else "it has no bill of materials"
        raise NoBom(what, place=str(bundle.path), hint=did_you_mean(image, bundle.images) if image else "")
    return bundle.read(named[name].digest, LIMIT)


def software(bundle: Bundle, image: str = "") -> list[Software]:
    """What an image, or the whole release, holds. BundleDamaged if the bill is not what it should be."""
    try:
        document = canonical.loads(bom(bundle, image))
        found = [_software(one) for one in document.get("components", []) if one["type"] == "library"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BundleDamaged(f"not a bill of materials: {error!r}", place=str(bundle.path), hint=AGAIN) from error
    return sorted(found, key=lambda one: (one.kind, one.name, one.version))


def _software(said: dict[str, Any]) -> Software:
    kind = said["purl"].removeprefix("pkg:").partition("/")[0]
    return Software(kind, _word(said["name"]), _word(said["version"]), tuple(map(_word, _licences(said.get("licenses", [])))))


def _word(text: Any) -> str:
    """As a terminal may show it."""
    return "".join(letter for letter in str(text) if letter.isprintable())


def _licences(listed: list[dict[str, Any]]) -> Iterator[str]:
    for one in listed:
        licence = one.get("license", {})
        yield str(one.get("expression") or licence.get("id") or licence.get("name"))
