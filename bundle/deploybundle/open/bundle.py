"""A bundle, opened: its index, its signatures and the place of every blob are checked; the blobs are on reading."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deploybundle import trust
from deploybundle.open import media, streams
from deploybundle.open.content import DIGEST, Content, Fetch, parse_index
from deploybundle.open.medium import Medium, OneFile, Reading
from deploybundle.open.parts import SUFFIX, find_parts, part_named
from deploybundle.open.problems import AGAIN, BundleDamaged, BundleTruncated, NoBundle, NotABundle
from deploybundle.open.tar import BLOCK, Entry, Tar, header
from deploybundle.open.types import BlobAt, Descriptor, Image, Layer


@dataclass(frozen=True)
class Bundle:
    """A release in one file, read in place. `index_digest` is its identity, `meta` its release.json, `blobs` by digest."""

    medium: Medium
    index: bytes
    index_digest: str
    meta: dict[str, Any]
    images: dict[str, Image]
    kinds: dict[str, dict[str, Descriptor]]
    blobs: dict[str, BlobAt]
    signed_by: trust.PublicKey | None
    statement: trust.Statement | None

    @property
    def path(self) -> Path:
        """The file, or the list of its parts."""
        return self.medium.path

    @property
    def size(self) -> int:
        """Bytes of the file, or of all parts."""
        return self.medium.size

    @property
    def name(self) -> str:
        """The release's name, such as "collector"."""
        return str(self.meta["name"])

    @property
    def version(self) -> str:
        """The release's version, such as "1.0.0"."""
        return str(self.meta["version"])

    @property
    def files(self) -> dict[str, Descriptor]:
        """The project's files by relative name."""
        return self.kinds.get("files", {})

    @property
    def tools(self) -> dict[str, Descriptor]:
        """Programs that the bundle brings along: "docker-compose", "installer", "collections", …"""
        return self.kinds.get("tools", {})

    @property
    def wheels(self) -> dict[str, list[Descriptor]]:
        """Wheels for each Python ("3.11"), whose file names are their titles."""
        kinds = {kind: list(members.values()) for kind, members in self.kinds.items() if kind.startswith("wheels-")}
        return {kind.removeprefix("wheels-"): members for kind, members in kinds.items()}

    @property
    def keyset(self) -> trust.KeySet | None:
        """The vendor's key set as of this release, if he has one. KeySetInvalid if it is none."""
        found = self.kinds.get("trust", {}).get("keyset.json")
        return trust.read_keyset(self.read(found.digest), f"{self.path}: keyset.json") if found else None

    def locate(self, digest: str) -> BlobAt:
        """Where the blob lies. KeyError if the bundle has none of this digest."""
        return self.blobs[digest]

    def read(self, digest: str, limit: int = media.JSON_LIMIT) -> bytes:
        """The blob's bytes, verified; at most `limit` bytes."""
        return streams.read_blob(self.locate(digest), digest, limit, self._place(digest))

    def open(self, digest: str) -> BinaryIO:
        """The blob as a stream that verifies itself at its end."""
        return streams.open_blob(self.locate(digest), digest, self._place(digest))

    def open_layer(self, layer: Layer) -> BinaryIO:
        """The layer's uncompressed tar as a stream, capped at its declared size, verified at its end."""
        return streams.open_layer(self.locate(layer.blob.digest), layer, self._place(layer.blob.digest))

    def _place(self, digest: str) -> str:
        return f"{self.path}: blob {digest} at offset {self.blobs[digest].offset}"


@dataclass(frozen=True)
class Head:
    """What a bundle says of itself before anything of it was checked: good for finding it in a list, for nothing else."""

    index_digest: str
    name: str
    vendor: trust.PublicKey


def peek(path: Path, *, folders: Sequence[Path] = ()) -> Head:
    """A bundle's own words about its identity and its signer. RefusedError or NoBundle as `open_bundle` raises."""
    try:
        medium = medium_of(path, folders)
        with Reading(medium) as file:
            tar = Tar(file, medium.size, str(path))
            data = {name: tar.read(entry.offset, entry.size) for name, entry in _read_head(tar).items()}
    except OSError as error:
        raise NoBundle(f"cannot be read: {error.strerror}", place=str(path)) from error
    try:
        key = trust.PublicKey.parse(data["deployctl/vendor.pub"])
    except ValueError as error:
        raise trust.BadSignature(f"deployctl/vendor.pub: {error}", place=str(path), hint=AGAIN) from error
    named = str(parse_index(data["index.json"], f"{path}: index.json")["annotations"].get(media.NAME, ""))
    return Head(f"sha256:{hashlib.sha256(data['index.json']).hexdigest()}", named.partition(" ")[0], key)


def open_bundle(path: Path, keys: Sequence[trust.PublicKey] | None, *, folders: Sequence[Path] = ()) -> Bundle:
    """Read a bundle's head and find its blobs; both signatures must be by one of `keys`.

    `path` is a file, or the list of numbered parts, which lie beside it or in `folders`. `keys=None` checks no
    signature: only for a vendor's own earlier builds. The blobs' bytes are checked by `verify_blobs`, or as they are read.
    Raises RefusedError (also its signatures' kinds), PartMissing or, if there is no such file, NoBundle.
    """
    try:
        return open_medium(medium_of(path, folders), keys)
    except OSError as error:
        raise NoBundle(f"cannot be read: {error.strerror}", place=str(path)) from error


def medium_of(path: Path, folders: Sequence[Path] = ()) -> Medium:
    """What a bundle's file, or the list of its parts, stands for. OSError if it is not there; PartMissing."""
    return find_parts(path, folders) if path.name.endswith(SUFFIX) else OneFile(path, path.stat().st_size)


def open_medium(medium: Medium, keys: Sequence[trust.PublicKey] | None) -> Bundle:
    """The same for what was found already."""
    with Reading(medium) as file, part_named(medium):
        return _open(Tar(file, medium.size, str(medium.path)), medium, keys)


def _open(tar: Tar, medium: Medium, keys: Sequence[trust.PublicKey] | None) -> Bundle:
    head, path = _read_head(tar), medium.path
    data = {name: tar.read(entry.offset, entry.size) for name, entry in head.items()}
    index = data["index.json"]
    signer = _check_signatures(data, str(path), keys) if keys is not None else None
    parsed = parse_index(index, f"{path}: index.json")
    _check_head(tar, head, data, int(parsed["annotations"][media.HEAD]))
    blobs = _find_blobs(tar, medium, head["deployctl/padding"].end)
    content = Content(parsed, f"{path}: index.json", _fetcher(path, blobs)).read()
    _check_complete(content, blobs)
    said = trust.read_statement(data["deployctl/index.dsse.json"], str(path)) if signer else None
    digest = f"sha256:{hashlib.sha256(index).hexdigest()}"
    return Bundle(medium, index, digest, content.meta, content.images, content.kinds, blobs, signer, said)


def _read_head(tar: Tar) -> dict[str, Entry]:
    head: dict[str, Entry] = {}
    at = 0
    for name, limit in media.HEAD_LIMITS.items():
        entry = _first(tar) if at == 0 else tar.entry(at)
        _check_head_entry(tar, entry, name, limit, at)
        assert entry  # noqa: S101  (checked just above)
        head[name], at = entry, entry.end
    return head


def _first(tar: Tar) -> Entry | None:
    try:
        return tar.entry(0)
    except (BundleDamaged, BundleTruncated) as error:
        if header("oci-layout", len(media.LAYOUT)).startswith(tar.read(0, min(tar.size, BLOCK))):
            raise
        hint = "expected a file that `deployctl bundle` made"
        raise NotABundle("is no bundle of deployctl", place=tar.place, hint=hint) from error


def _check_head_entry(tar: Tar, entry: Entry | None, name: str, limit: int, at: int) -> None:
    if entry and entry.name == name and entry.size <= limit:
        return
    if at == 0:
        raise NotABundle("is no bundle of deployctl", place=tar.place, hint="expected a file that `deployctl bundle` made")
    if name.startswith("deployctl/index.") and (not entry or entry.name != name):
        raise trust.MissingSignature(f"expected {name}, got {entry.name if entry else 'the end'}", place=tar.place, hint=AGAIN)
    got = f"{entry.name} of {entry.size} bytes" if entry else "the end"
    raise tar.damaged(f"expected {name} of at most {limit} bytes, got {got[:200]}", at)


def _check_signatures(data: dict[str, bytes], place: str, keys: Sequence[trust.PublicKey]) -> trust.PublicKey:
    index = data["index.json"]
    first = trust.verify_dsse(data["deployctl/index.dsse.json"], index, keys, f"{place}: deployctl/index.dsse.json")
    second = trust.verify_sshsig(data["deployctl/index.sshsig"], index, keys, f"{place}: deployctl/index.sshsig")
    if first != second or data["deployctl/vendor.pub"] != f"{first.ssh_line}\n".encode():
        what = f"expected both signatures and vendor.pub by one key, got {first.fingerprint} and {second.fingerprint}"
        raise trust.BadSignature(what, place=place, hint=AGAIN)
    return first


def _check_head(tar: Tar, head: dict[str, Entry], data: dict[str, bytes], expected: int) -> None:
    if data["oci-layout"] != media.LAYOUT:
        raise tar.damaged("another oci-layout than ours", head["oci-layout"].offset)
    padding = head["deployctl/padding"]
    if any(data["deployctl/padding"]) or padding.size % 512 or padding.end != expected:
        raise tar.damaged(f"expected zeros up to {expected}", padding.offset)


def _find_blobs(tar: Tar, medium: Medium, at: int) -> dict[str, BlobAt]:
    blobs: dict[str, BlobAt] = {}
    while entry := tar.entry(at):
        digest = "sha256:" + entry.name.removeprefix(media.BLOBS)
        if not entry.name.startswith(media.BLOBS) or not DIGEST.fullmatch(digest) or digest in blobs:
            raise tar.damaged(f"expected a blob, once, got {entry.name!r}", at)
        if len(blobs) >= media.BLOB_COUNT:
            raise tar.damaged(f"more than {media.BLOB_COUNT} blobs", at)
        blobs[digest], at = BlobAt(medium, entry.offset, entry.size), entry.end
    return blobs


def _fetcher(path: Path, blobs: dict[str, BlobAt]) -> Fetch:
    def fetch(digest: str, limit: int) -> bytes:
        if digest not in blobs:
            raise BundleTruncated(f"lacks the blob {digest}", place=str(path), hint=AGAIN)
        place = f"{path}: blob {digest} at offset {blobs[digest].offset}"
        return streams.read_blob(blobs[digest], digest, limit, place)

    return fetch


def _check_complete(content: Content, blobs: dict[str, BlobAt]) -> None:
    found = {digest: at.size for digest, at in blobs.items()}
    if found == content.named:
        return
    for digest in sorted({*found, *content.named}):
        expected, got = content.named.get(digest), found.get(digest)
        if expected != got:
            raise content.damaged(f"blob {digest}: expected {_bytes(expected)}, got {_bytes(got)}")


def _bytes(size: int | None) -> str:
    return "none" if size is None else f"{size} bytes"
