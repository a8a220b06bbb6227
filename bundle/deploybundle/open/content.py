"""From the index's bytes to typed content: every key, type, media type and digest is checked, and nothing more is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploybundle import oci
from deploybundle.open import media
from deploybundle.open.names import check_names
from deploybundle.open.problems import AGAIN, BundleDamaged, BundleTooNew
from deploybundle.open.types import Descriptor, Image, Layer
from deploybundle.trust import canonical

DIGEST = oci.DIGEST
REF = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,254}")
KIND = re.compile(
    r"application/vnd\.deployctl\.(release|files|tools|wheels-3\.[0-9]{1,2}|packages-[a-z]{1,16}-[0-9.]{1,8}|sbom|docs|trust)\.v1"
)
WORD = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._+-]{0,127}")
NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")

Fetch = Callable[[str, int], bytes]  # the bytes of a digest, verified, at most so many


@dataclass
class Content:
    """What an index names. `named` holds every blob's digest and size in bytes, `head` the bytes before the first blob."""

    index: dict[str, Any]
    place: str
    fetch: Fetch
    named: dict[str, int] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    kinds: dict[str, dict[str, Descriptor]] = field(default_factory=dict)

    def damaged(self, what: str) -> BundleDamaged:
        """The error for content that is not in the format."""
        return BundleDamaged(what, place=self.place, hint=AGAIN)

    def read(self) -> Content:
        """Walk from the index to every manifest."""
        for place, value in enumerate(self.index["manifests"]):
            self._manifest(value, f"manifests[{place}]")
        self._check_twice(media.NAME, f"{self.meta.get('name')} {self.meta.get('version')}")
        installer = self.kinds.get("tools", {}).get("installer")
        self._check_twice(media.INSTALLER, installer.digest if installer else None)
        return self

    def _check_twice(self, key: str, got: str | None) -> None:
        if (expected := self.index["annotations"].get(key)) != got:
            raise self.damaged(f"annotations: {key}: expected {expected!r}, got {got!r}")

    def _manifest(self, value: Any, at: str) -> None:
        descriptor = self._descriptor(value, at, extra={"artifactType"} & set(value if isinstance(value, dict) else ()))
        if media.RAW_SIZES in descriptor.annotations and "artifactType" not in value:
            return self._kept(descriptor, at)
        if descriptor.media_type != media.MANIFEST:
            raise self.damaged(f"{at}: expected the media type {media.MANIFEST}, got {descriptor.media_type!r}")
        manifest = self._json(descriptor, at)
        if "artifactType" in value:
            self._check_types(at, [descriptor], media.MANIFEST, set())
            return self._artifact(value["artifactType"], manifest, at)
        return self._image(descriptor, manifest, at)

    def _json(self, descriptor: Descriptor, at: str) -> dict[str, Any]:
        try:
            value = canonical.loads(self.fetch(descriptor.digest, media.JSON_LIMIT))
        except ValueError as error:
            raise self.damaged(f"{at}: {descriptor.digest}: {error}") from error
        if not isinstance(value, dict):
            raise self.damaged(f"{at}: {descriptor.digest}: expected an object")
        return value

    def _parts(self, manifest: dict[str, Any], at: str, **expected: Any) -> tuple[Descriptor, list[Descriptor]]:
        fixed = {"schemaVersion": 2, "mediaType": media.MANIFEST, **expected}
        got = {key: value for key, value in manifest.items() if key not in ("config", "layers")}
        if got != fixed or set(manifest) != {*fixed, "config", "layers"} or not isinstance(manifest["layers"], list):
            raise self.damaged(f"{at}: expected a manifest with {fixed}, config and layers, got {got}")
        layers = [self._descriptor(layer, f"{at}.layers[{n}]") for n, layer in enumerate(manifest["layers"])]
        return self._descriptor(manifest["config"], f"{at}.config"), layers

    def _descriptor(self, value: Any, at: str, extra: set[str] | None = None) -> Descriptor:
        if not isinstance(value, dict) or set(value) - {"annotations"} != {"mediaType", "digest", "size"} | (extra or set()):
            raise self.damaged(f"{at}: expected mediaType, digest, size and perhaps annotations, got {_keys(value)}")
        found = Descriptor(value["mediaType"], value["digest"], value["size"], value.get("annotations", {}))
        if not isinstance(found.digest, str) or not DIGEST.fullmatch(found.digest):
            raise self.damaged(f"{at}.digest: expected sha256: and 64 hexadecimal digits, got {str(found.digest)[:80]!r}")
        if type(found.size) is not int or not 0 <= found.size < 1 << 53:
            raise self.damaged(f"{at}.size: expected a number of bytes, got {str(found.size)[:40]!r}")
        self._check_strings(found, at)
        return self._name(found, at)

    def _check_strings(self, found: Descriptor, at: str) -> None:
        notes = found.annotations
        if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
            raise self.damaged(f"{at}.annotations: expected strings, got {str(notes)[:80]!r}")
        if not isinstance(found.media_type, str):
            raise self.damaged(f"{at}.mediaType: expected a string, got {str(found.media_type)[:80]!r}")

    def _name(self, found: Descriptor, at: str) -> Descriptor:
        if self.named.setdefault(found.digest, found.size) != found.size:
            raise self.damaged(f"{at}.size: {found.digest} has two sizes, {self.named[found.digest]} and {found.size}")
        return found

    def _image(self, descriptor: Descriptor, manifest: dict[str, Any], at: str) -> None:
        ref = self._ref(descriptor, {media.REF_NAME}, at)
        config, layers = self._parts(manifest, at)
        self._check_types(at, [config], media.CONFIG, set())
        self._check_types(at, layers, media.LAYER, {media.RAW_SIZE})
        data = self.fetch(config.digest, media.JSON_LIMIT)
        found = zip(self._diff_ids(data, len(layers), at), layers, strict=True)
        self.images[ref] = Image(ref, config.digest, data, descriptor, tuple(self._layer(*pair, at) for pair in found))

    def _ref(self, descriptor: Descriptor, notes: set[str], at: str) -> str:
        ref = descriptor.annotations.get(media.REF_NAME, "")
        if not REF.fullmatch(ref) or ref in self.images or set(descriptor.annotations) != notes:
            raise self.damaged(f"{at}: expected an image's name, once, got {str(descriptor.annotations)[:400]}")
        return ref

    def _kept(self, descriptor: Descriptor, at: str) -> None:
        """An image whose manifest and blobs are as somebody else made them; the sizes of its raw layers stand in the index."""
        ref = self._ref(descriptor, {media.REF_NAME, media.RAW_SIZES}, at)
        try:
            manifest = oci.read_manifest(self.fetch(descriptor.digest, media.JSON_LIMIT), descriptor.media_type)
        except ValueError as error:
            raise self.damaged(f"{at}: {descriptor.digest}: {error}") from error
        parts = (manifest.config, *manifest.layers)
        config, *layers = (self._name(Descriptor(one.media_type, one.digest, one.size, {}), at) for one in parts)
        sizes = [size for size in descriptor.annotations[media.RAW_SIZES].split(",") if size or layers]
        if len(sizes) != len(layers) or not all(map(NUMBER.fullmatch, sizes)):
            raise self.damaged(f"{at}: {media.RAW_SIZES}: expected {len(layers)} numbers of bytes")
        data = self.fetch(config.digest, media.JSON_LIMIT)
        found = zip(self._diff_ids(data, len(layers), at), map(int, sizes), layers, strict=True)
        self.images[ref] = Image(ref, config.digest, data, descriptor, tuple(Layer(*each) for each in found))

    def _check_types(self, at: str, found: list[Descriptor], media_type: str, notes: set[str]) -> None:
        for each in found:
            if each.media_type != media_type or set(each.annotations) != notes:
                raise self.damaged(f"{at}: expected {media_type} with {notes or 'no annotations'}, got {each}")

    def _diff_ids(self, config: bytes, count: int, at: str) -> list[str]:
        try:
            ids = canonical.loads_foreign(config)["rootfs"]["diff_ids"] or []
            exposed = Image("", "", config, Descriptor("", "", 0, {}), ()).exposed
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self.damaged(f"{at}.config: not an image's configuration: {error!r}") from error
        if not isinstance(ids, list) or len(ids) != count or not all(isinstance(i, str) and DIGEST.fullmatch(i) for i in ids):
            raise self.damaged(f"{at}.config: expected {count} diff_ids, got {str(ids)[:200]}")
        if any(not 0 < port < 1 << 16 for port, _ in exposed):
            raise self.damaged(f"{at}.config: ports that are none: {exposed}")
        return ids

    def _layer(self, diff_id: str, blob: Descriptor, at: str) -> Layer:
        size = blob.annotations[media.RAW_SIZE]
        if not NUMBER.fullmatch(size):
            raise self.damaged(f"{at}: {media.RAW_SIZE}: expected a number of bytes, got {size[:40]!r}")
        return Layer(diff_id, int(size), blob)

    def _artifact(self, artifact_type: Any, manifest: dict[str, Any], at: str) -> None:
        match = KIND.fullmatch(artifact_type) if isinstance(artifact_type, str) else None
        if not match or match[1] in self.kinds:
            raise self.damaged(f"{at}.artifactType: expected each of our kinds once, got {str(artifact_type)[:80]!r}")
        config, members = self._parts(manifest, at, artifactType=artifact_type)
        self.kinds[match[1]] = {}
        if match[1] == "release":
            self._release(config, members, at)
        else:
            self._members(match[1], config, members, at)

    def _release(self, config: Descriptor, members: list[Descriptor], at: str) -> None:
        self._check_types(at, [config], media.RELEASE, set())
        self._check_types(at, members, media.EMPTY, set())
        self.meta = self._json(config, at)
        for key in ("name", "version"):
            if not WORD.fullmatch(str(self.meta.get(key, ""))):
                raise self.damaged(f"{at}: release.json: {key}: expected a word, got {str(self.meta.get(key))[:80]!r}")

    def _members(self, kind: str, config: Descriptor, members: list[Descriptor], at: str) -> None:
        self._check_types(at, [config], media.EMPTY, set())
        for member in members:
            self._check_types(at, [member], media.FILE, {media.TITLE, *({media.EXECUTABLE} & set(member.annotations))})
            if member.annotations.get(media.EXECUTABLE, "true") != "true":
                raise self.damaged(f"{at}: {media.EXECUTABLE}: expected true or nothing")
        titles = [member.annotations[media.TITLE] for member in members]
        check_names(titles, f"{self.place}: {kind}")
        self.kinds[kind] = dict(zip(titles, members, strict=True))


def _keys(value: Any) -> str:
    return ", ".join(map(str, value))[:200] if isinstance(value, dict) else type(value).__name__


def parse_index(data: bytes, place: str) -> dict[str, Any]:
    """The index's own keys, checked. BundleTooNew if a newer deployctl wrote it, else BundleDamaged."""
    try:
        index = canonical.loads(data)
    except ValueError as error:
        raise BundleDamaged(str(error), place=place, hint=AGAIN) from error
    notes = index.get("annotations") if isinstance(index, dict) else None
    _check_format(notes if isinstance(notes, dict) else {}, place)
    fixed = {"schemaVersion": 2, "mediaType": media.INDEX}
    if set(index) != {*fixed, "manifests", "annotations"} or {key: index[key] for key in fixed} != fixed:
        raise BundleDamaged(f"expected {fixed}, manifests and annotations, got {_keys(index)}", place=place, hint=AGAIN)
    if not isinstance(index["manifests"], list):
        raise BundleDamaged("manifests: expected a list", place=place, hint=AGAIN)
    return _check_notes(index, place)


def _check_format(notes: Mapping[str, Any], place: str) -> None:
    got = notes.get(media.FORMAT)
    if got != media.SCHEMA:
        hint = "use the deployctl that lies in the bundle: its installer is one of the bundle's files"
        raise BundleTooNew(f"expected format {media.SCHEMA}, got {str(got)[:40]!r}", place=place, hint=hint)


def _check_notes(index: dict[str, Any], place: str) -> dict[str, Any]:
    rules = {media.FORMAT: NUMBER, media.HEAD: NUMBER, media.NAME: re.compile(r"\S+ \S+"), media.INSTALLER: DIGEST}
    notes = index["annotations"]
    for key, value in notes.items():
        if key not in rules or not isinstance(value, str) or not rules[key].fullmatch(value):
            raise BundleDamaged(f"annotations: {key[:80]!r}: {str(value)[:80]!r}", place=place, hint=AGAIN)
    if {media.HEAD, media.NAME} - set(notes):
        raise BundleDamaged(f"annotations: expected {media.HEAD} and {media.NAME}", place=place, hint=AGAIN)
    return dict(index)
