"""Opens bundles: whole ones, in parts, and deltas. What is not in the one spelling, or not signed, is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploybundle import trust
from deploybundle.errors import DeployctlError
from deploybundle.open import media, stored, streams
from deploybundle.open.around import Around, Find
from deploybundle.open.bundle import Bundle
from deploybundle.open.content import DIGEST, Content, Fetch, parse_index
from deploybundle.open.delta import NAMESPACE, Delta, parse, unpack
from deploybundle.open.medium import Medium, Memory, OneFile, Reading
from deploybundle.open.parts import SUFFIX, find_parts, part_named
from deploybundle.open.problems import AGAIN, LOOK, BundleDamaged, BundleTruncated, NoBundle, NotABundle
from deploybundle.open.resolve import Resolver
from deploybundle.open.tar import BLOCK, Entry, Tar, header
from deploybundle.open.types import BlobAt


@dataclass(frozen=True)
class Head:
    """What a bundle says of itself before anything of it was checked: good for finding it in a list, for nothing else.

    `index` is not even parsed yet, `place` how to name it to a person.
    """

    index: bytes
    vendor: trust.PublicKey
    place: str

    @property
    def index_digest(self) -> str:
        """The bundle's identity."""
        return _sha256(self.index)

    @property
    def name(self) -> str:
        """The product's name. BundleDamaged or BundleTooNew if the index is none of ours."""
        return str(parse_index(self.index, self.place)["annotations"].get(media.NAME, "")).partition(" ")[0]


def peek(path: Path, *, folders: Sequence[Path] = ()) -> Head:
    """A bundle's own words about its identity and its signer. RefusedError or NoBundle as `open_bundle` raises."""
    try:
        medium = medium_of(path, folders)
        with Reading(medium) as file, part_named(medium):
            data = _peek(Tar(file, medium.size, str(path)))
    except OSError as error:
        raise NoBundle(f"cannot be read: {error.strerror}", place=str(path), hint=LOOK) from error
    try:
        key = trust.PublicKey.parse(data["deployctl/vendor.pub"])
    except ValueError as error:
        raise trust.BadSignature(f"deployctl/vendor.pub: {error}", place=str(path), hint=AGAIN) from error
    return Head(data["index.json"], key, f"{path}: index.json")


def _peek(tar: Tar) -> dict[str, bytes]:
    if _is_delta(tar):
        memory, _ = _delta_parts(tar, OneFile(Path(tar.place), tar.size))
        inner = Tar(memory.open(), memory.size, f"{tar.place}: small files")
        return _contents(inner, _read_head(inner, media.DELTA_LIMITS))
    return _contents(tar, _read_head(tar))


def open_bundle(
    path: Path, keys: Sequence[trust.PublicKey] | None, *, folders: Sequence[Path] = (), around: Around | None = None
) -> Bundle:
    """Read a bundle's head and find its blobs; both signatures must be by one of `keys`.

    `path` is a file, or the list of numbered parts, which lie beside it or in `folders`. `keys=None` checks no
    signature: only for a vendor's own earlier builds. The blobs' bytes are checked by `verify_blobs`, or as they are read.
    What a delta counts on is looked for in `around`, else beside it; it needs no signature of its own, since the delta's
    names each of its blobs. Raises RefusedError (also its signatures' kinds), PartMissing, BaseMissing or, if there is
    no such file, NoBundle.
    """
    try:
        return open_medium(medium_of(path, folders), keys, around)
    except OSError as error:
        raise NoBundle(f"cannot be read: {error.strerror}", place=str(path), hint=LOOK) from error


def beside(path: Path) -> Find:
    """Finds the bundles of a file's folder."""
    return lambda index: next((found for found in bundles_in(path.parent) if _index_of(found) == index), None)


def _also_beside(around: Around, path: Path) -> Around:
    return Around(lambda index: around.find(index) or beside(path)(index), around.rebuilt)


def bundles_in(folder: Path) -> list[Path]:
    """Bundles, and lists of bundles in parts; no deltas."""
    return sorted([*folder.glob("*.bundle.tar"), *folder.glob(f"*.bundle.tar{SUFFIX}")])


def _index_of(path: Path) -> str | None:
    try:
        return peek(path).index_digest
    except DeployctlError:
        return None


def medium_of(path: Path, folders: Sequence[Path] = ()) -> Medium:
    """What a bundle's file, the list of its parts, or a store's copy stands for. OSError if it is not there; PartMissing."""
    if path.name.endswith(stored.SUFFIX):
        return stored.find_stored(path)
    if path.suffix[1:].isdecimal() and path.with_suffix(SUFFIX).exists():
        raise NotABundle(
            "is one part of a bundle", place=str(path), hint=f"name the list of the parts: {path.with_suffix(SUFFIX)}"
        )
    return find_parts(path, folders) if path.name.endswith(SUFFIX) else OneFile(path, path.stat().st_size)


def open_medium(medium: Medium, keys: Sequence[trust.PublicKey] | None, around: Around | None = None) -> Bundle:
    """The same for what was found already."""
    with Reading(medium) as file, part_named(medium):
        tar = Tar(file, medium.size, str(medium.path))
        if _is_delta(tar):
            return _open_delta(tar, medium, keys, _also_beside(around or Around(), medium.path))
        return _open(tar, medium, keys)


def _open(tar: Tar, medium: Medium, keys: Sequence[trust.PublicKey] | None) -> Bundle:
    head, path = _read_head(tar), medium.path
    data = _contents(tar, head)
    index = data["index.json"]
    signer = _check_signatures(data, str(path), keys) if keys is not None else None
    parsed = parse_index(index, f"{path}: index.json")
    _check_head(tar, head, data, int(parsed["annotations"][media.HEAD]))
    blobs = _find_blobs(tar, medium, head["deployctl/padding"].end)
    content = Content(parsed, f"{path}: index.json", _fetcher(path, blobs)).read()
    _check_complete(content, blobs)
    said = trust.read_statement(data["deployctl/index.dsse.json"], str(path)) if signer else None
    return Bundle(medium, index, _sha256(index), content.meta, content.images, content.kinds, blobs, signer, said)


def _is_delta(tar: Tar) -> bool:
    return tar.size >= BLOCK and tar.read(0, BLOCK) == header(media.DELTA, 0)


def _delta_parts(tar: Tar, medium: Medium) -> tuple[Memory, dict[str, BlobAt]]:
    """The small files of a delta, unpacked, and its large blobs."""
    entries, at = list[Entry](), BLOCK
    while entry := tar.entry(at):
        entries.append(entry)
        at = entry.end
    if not entries or entries[-1].size > media.SMALL_LIMIT:
        raise tar.damaged("expected the small files last", at)
    last = entries.pop()
    packed = tar.read(last.offset, last.size)
    name = media.SMALL.format(hashlib.sha256(packed).hexdigest())
    if last.name != name:
        raise tar.damaged(f"expected {name}, got {last.name}", at)
    return Memory(medium.path, unpack(packed, f"{tar.place}: {name}")), _blobs_of(tar, medium, entries)


def _open_delta(tar: Tar, medium: Medium, keys: Sequence[trust.PublicKey] | None, around: Around) -> Bundle:
    memory, own = _delta_parts(tar, medium)
    inner = Tar(memory.open(), memory.size, f"{medium.path}: small files")
    head = _read_head(inner, media.DELTA_LIMITS)
    data, place = _contents(inner, head), str(medium.path)
    signer = _check_signatures(data, place, keys) if keys is not None else None
    if signer:
        said = f"{place}: deployctl/delta.sshsig"
        trust.verify_sshsig(data["deployctl/delta.sshsig"], data["deployctl/delta.json"], [signer], said, NAMESPACE)
    delta = parse(data["deployctl/delta.json"], f"{place}: deployctl/delta.json")
    small = _find_blobs(inner, memory, head["deployctl/delta.sshsig"].end)
    _check_carried(inner, delta, own, small, data["index.json"])
    return _resolved(medium, data, signer, Resolver(place, delta, own | small, _bases(delta, around), around))


def _check_carried(tar: Tar, delta: Delta, own: dict[str, BlobAt], small: dict[str, BlobAt], index: bytes) -> None:
    if delta.index != _sha256(index):
        raise tar.damaged(f"expected the index {delta.index}, got {_sha256(index)}", 0)
    if set(own) & set(small) or delta.blobs != set(own) | set(small):
        raise tar.damaged("other blobs than the delta names", 0)


def _bases(delta: Delta, around: Around) -> list[Bundle]:
    found = (around.find(each.index) for each in delta.since)
    return [open_bundle(path, None, around=around) for path in found if path]


def _resolved(medium: Medium, data: dict[str, bytes], signer: trust.PublicKey | None, resolver: Resolver) -> Bundle:
    index, place = data["index.json"], f"{medium.path}: index.json"
    content = Content(parse_index(index, place), place, resolver.fetch).read()
    images = resolver.images(content)
    said = trust.read_statement(data["deployctl/index.dsse.json"], str(medium.path)) if signer else None
    return Bundle(
        medium, index, _sha256(index), content.meta, images, content.kinds, resolver.blobs, signer, said,
        delta=resolver.delta, bases=tuple(resolver.bases), pending=tuple(resolver.pending.values()),
    )  # fmt: skip


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _contents(tar: Tar, head: Mapping[str, Entry]) -> dict[str, bytes]:
    return {name: tar.read(entry.offset, entry.size) for name, entry in head.items()}


def _read_head(tar: Tar, limits: Mapping[str, int] = media.HEAD_LIMITS) -> dict[str, Entry]:
    head: dict[str, Entry] = {}
    at = 0
    for name, limit in limits.items():
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
    entries = list[Entry]()
    while entry := tar.entry(at):
        entries.append(entry)
        at = entry.end
        if len(entries) > media.BLOB_COUNT:
            raise tar.damaged(f"more than {media.BLOB_COUNT} blobs", at)
    return _blobs_of(tar, medium, entries)


def _blobs_of(tar: Tar, medium: Medium, entries: Sequence[Entry]) -> dict[str, BlobAt]:
    blobs: dict[str, BlobAt] = {}
    for entry in entries:
        digest = "sha256:" + entry.name.removeprefix(media.BLOBS)
        if not entry.name.startswith(media.BLOBS) or not DIGEST.fullmatch(digest) or digest in blobs:
            raise tar.damaged(f"expected a blob, once, got {entry.name!r}", entry.offset - BLOCK)
        blobs[digest] = BlobAt(medium, entry.offset, entry.size)
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
