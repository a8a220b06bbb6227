"""Builds a bundle: what is known already is copied, the rest exported once, compressed and hashed as it streams by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploybundle import sources, trust
from deploybundle.errors import DeployctlError, RefusedError
from deploybundle.open import Around, BlobAt, Bundle, Layer, Progress, media, open_bundle, verify_blobs
from deploybundle.open.medium import Medium, Parts
from deploybundle.open.reader import open_medium
from deploybundle.open.streams import CHUNK
from deploybundle.pack import index as oci
from deploybundle.pack.boms import Boms
from deploybundle.pack.delta import DeltaWriter, Patcher, bases_of, delta_of, head_of
from deploybundle.pack.kept import Keeper
from deploybundle.pack.known import Known
from deploybundle.pack.layers import LEVEL, Layers, compressor_of
from deploybundle.pack.partial import partial
from deploybundle.pack.problems import CannotBundle, ImageChanged
from deploybundle.pack.writer import Blob, Measure, Writer
from deploybundle.trust import canonical

Members = sources.Members
_CHANGED = "somebody changed it since it was fetched; remove it and run again"


@dataclass(frozen=True)
class Built:
    """A bundle that was made. Bytes: `exported` by the engine, `compressed` of new layers, `reused` of earlier bundles'."""

    path: Path
    index_digest: str
    size: int
    exported: int
    compressed: int
    reused: int


def build(
    out: Path,
    *,
    meta: Mapping[str, Any],
    images: Sequence[sources.ImageInfo],
    source: sources.ImageSource,
    files: Members,
    wheels: Mapping[str, Sequence[Path]],
    tools: Members,
    packages: Mapping[str, Members] | None = None,
    docs: Members | None = None,
    boms: Boms | None = None,
    signer: trust.Signer,
    keyset: Members | None = None,
    known: Sequence[Bundle] = (),
    since: Sequence[Bundle] = (),
    level: int = LEVEL,
    split: int | None = None,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    builder: str = "deployctl",
) -> Built:
    """Write a signed bundle to `out`, whole or not at all.

    `files` and `tools` are files by name, `wheels` by Python ("3.11"), `packages` a repository for each target
    ("debian-13"), `keyset` the vendor's keyset.json. `boms` writes the bills of materials, `docs`
    is deployctl's manual. What one of `known` has is copied from there; if all layers and configs are, `source` is not
    asked. `progress(done, total)` counts raw bytes out of the engine.
    With `since`, a delta: only what those bundles lack, and changed layers as patches; its index is that of the whole bundle.
    With `split`, in parts of so many bytes; then `out` is their list.
    The same input makes the same index and blobs; only the signatures and their time differ.
    """
    named: dict[str, Members] = {f"wheels-{python}": {path.name: path for path in paths} for python, paths in wheels.items()}
    named |= {f"packages-{target}": members for target, members in (packages or {}).items()}
    given: dict[str, Members] = {"files": files, "tools": tools, "docs": docs or {}, "trust": keyset or {}, **named}
    kinds = {kind: members for kind, members in given.items() if members}
    name = f"{meta['name']} {meta['version']}"
    named_kinds = [*kinds, *(["sbom"] if boms else []), "release"]
    head = oci.head_size(name, images, named_kinds)
    found = Known([*since, *known])
    measure = _Job(Measure(head), found, images, level, None)
    if not since and (same := _unchanged(out, measure, signer, split)):
        same.job.run(source, kinds, meta, boms)
        if same.holds(oci.index(head, name, same.job.manifests, same.job.kinds, same.job.installer)):
            return same.built()
    with partial(out, split) as sink:
        writer = DeltaWriter(sink, _held(since)) if since else Writer(sink, head)
        patcher = Patcher(out.parent, bases_of(images, since)) if since else None
        job = _Job(writer, found, images, level, progress, patcher)
        job.run(source, kinds, meta, boms)
        index = oci.index(head, name, job.manifests, job.kinds, job.installer)
        digest = f"sha256:{hashlib.sha256(index).hexdigest()}"
        signed = _signed(index, signer, name, clock(), builder)
        if isinstance(writer, DeltaWriter) and patcher:
            size = writer.finish(head_of(index, signed, delta_of(digest, since, writer, patcher), signer))
        else:
            sink.write(oci.head(head, signed), 0)
            size = writer.end()
        _check(sink.medium(), signer, since)
    return Built(out, digest, size, job.exported, job.layers.written, job.reused)


@dataclass(frozen=True)
class _Same:
    """The bundle that is there already under this name, and a job that only measures."""

    bundle: Bundle
    job: _Job

    def holds(self, index: bytes) -> bool:
        """Whether it is what would be written, to the last byte."""
        try:
            if index == self.bundle.index:
                verify_blobs(self.bundle)
                return True
        except DeployctlError:
            pass
        return False

    def built(self) -> Built:
        return Built(self.bundle.path, self.bundle.index_digest, self.bundle.size, 0, 0, self.job.reused)


def _unchanged(out: Path, job: _Job, signer: trust.Signer, split: int | None) -> _Same | None:
    """What may turn out to be unchanged: a bundle of this name by this key, cut as is asked for, whose images are all known.

    Nothing is exported.
    """
    try:
        bundle = open_bundle(out, [signer.public]) if out.exists() else None
    except DeployctlError:
        return None
    if bundle and isinstance(bundle.medium, Parts) and bundle.medium.each != split:
        return None
    return _Same(bundle, job) if bundle and all(map(job.known.has, job.images)) else None


def _held(since: Sequence[Bundle]) -> dict[str, BlobAt]:
    return {digest: at for bundle in since for digest, at in bundle.blobs.items()}


def _signed(index: bytes, signer: trust.Signer, name: str, time: datetime, builder: str) -> dict[str, bytes]:
    return {
        "oci-layout": media.LAYOUT,
        "index.json": index,
        "deployctl/index.dsse.json": trust.dsse(index, signer, name, time, builder),
        "deployctl/index.sshsig": trust.sshsig(index, signer),
        "deployctl/vendor.pub": f"{signer.public.ssh_line}\n".encode(),
    }


def _check(medium: Medium, signer: trust.Signer, since: Sequence[Bundle]) -> None:
    """What a reader would refuse is never published: a name that no file may have, an image name that is none."""
    try:
        there = {bundle.index_digest: bundle.path for bundle in since}
        open_medium(medium, [signer.public], Around(there.get))
    except RefusedError as error:
        raise CannotBundle(error.message, place=error.place.replace(".partial", ""), hint="change this in the input") from error


@dataclass
class _Job:
    """One build: `configs`, `manifests` (by image name) and `kinds` are the blobs that the index will name."""

    writer: Writer
    known: Known
    images: Sequence[sources.ImageInfo]
    level: int
    progress: Progress | None
    patcher: Patcher | None = None
    configs: dict[str, Blob] = field(default_factory=dict)
    manifests: dict[str, oci.Manifest] = field(default_factory=dict)
    kinds: dict[str, Blob] = field(default_factory=dict)
    installer: str | None = None
    exported: int = 0
    reused: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.exportable = [image for image in self.images if image.kept is None]
        wanted = frozenset(diff_id for image in self.exportable for diff_id in image.diff_ids)
        self.keeper = Keeper(self.writer, self.known.kept, self._count)
        self.layers = Layers(self.writer, wanted, self._count, patcher=self.patcher)

    def run(
        self, source: sources.ImageSource, kinds: Mapping[str, Members], meta: Mapping[str, Any], boms: Boms | None = None
    ) -> None:
        self._reuse()
        self._export(source)
        self.reused += self.keeper.reuse(self.images)
        for image in self.images:
            self.manifests[image.ref] = self.keeper.keep(image, image.kept) if image.kept else self._image(image)
        self._kinds({**kinds, "sbom": self._boms(boms)} if boms else kinds)
        self._release(meta)

    def _reuse(self) -> None:
        wanted = {diff_id for image in self.exportable for diff_id in image.diff_ids}
        found = {diff_id: self.known.layers[diff_id] for diff_id in sorted(wanted) if diff_id in self.known.layers}
        self.layers.found = {diff_id: layer for diff_id, (_, layer) in found.items()}
        whole = [(bundle, layer) for bundle, layer in found.values() if not self._patched(bundle, layer)]
        self.writer.copy({layer.blob.digest: bundle.locate(layer.blob.digest) for bundle, layer in whole})
        self.reused = sum(layer.blob.size for _, layer in found.values())
        for digest in sorted({image.config_digest for image in self.exportable} & set(self.known.configs)):
            self.configs[digest] = self.writer.put(self.known.configs[digest].config)

    def _patched(self, bundle: Bundle, layer: Layer) -> bool:
        return self.patcher is not None and layer.diff_id in self.patcher.bases and self.layers.reuse(bundle, layer)

    def _export(self, source: sources.ImageSource) -> None:
        for guess in (True, False):
            self.layers.guess = guess
            todo = {image.config_digest: image for image in self.exportable if not self._has(image)}
            if todo:
                self.total = max(self.total, self.exported) + sum(image.size for image in todo.values())
                self._take(source, todo)

    def _has(self, image: sources.ImageInfo) -> bool:
        return image.config_digest in self.configs and all(diff_id in self.layers.found for diff_id in image.diff_ids)

    def _take(self, source: sources.ImageSource, todo: Mapping[str, sources.ImageInfo]) -> None:
        compressor = compressor_of(self.level)
        for part in source.export(sorted(todo.values(), key=lambda image: image.ref), self.layers.found.keys()):
            if isinstance(part, sources.Layer):
                self.layers.add(part, compressor)
            elif part.digest in todo:
                self.configs[part.digest] = self.writer.put(part.content)

    def _count(self, count: int) -> None:
        self.exported += count
        if self.progress:
            self.progress(self.exported, max(self.total, self.exported))

    def _image(self, image: sources.ImageInfo) -> oci.Manifest:
        config = self.configs.get(image.config_digest)
        missing = [diff_id for diff_id in image.diff_ids if diff_id not in self.layers.found]
        if config is None or config.digest != image.config_digest or missing:
            what = f"expected the image {image.config_digest}, got another" + (f" (lacks {missing[0]})" if missing else "")
            raise ImageChanged(what, place=image.ref, hint="somebody built or tagged it meanwhile: run again")
        layers = tuple(self.layers.found[diff_id] for diff_id in image.diff_ids)
        return oci.Manifest(self.writer.put(oci.image_manifest(config, layers)))

    def _kinds(self, kinds: Mapping[str, Members]) -> None:
        empty = oci.descriptor(media.EMPTY, self.writer.put(media.EMPTY_BLOB))
        self._pinned([member for members in kinds.values() for member in members.values()])
        for kind, members in sorted(kinds.items()):
            blobs = {name: self._member(member) for name, member in sorted(members.items())}
            found = [oci.descriptor(media.FILE, blobs[name], _notes(name, members[name])) for name in blobs]
            self.kinds[kind] = self.writer.put(oci.artifact_manifest(kind, empty, found))
            if kind == "tools" and "installer" in blobs:
                self.installer = blobs["installer"].digest

    def _pinned(self, members: Sequence[Path | sources.Pinned]) -> None:
        """Files whose digest is known before they are read are taken from an earlier bundle that has them."""
        digests = sorted({member.digest for member in members if isinstance(member, sources.Pinned)} & set(self.known.blobs))
        self.writer.copy({digest: self.known.blobs[digest] for digest in digests})

    def _member(self, member: Path | sources.Pinned) -> Blob:
        if isinstance(member, Path):
            return self.writer.stream(_read(member))
        if member.digest in self.writer.blobs:
            return self.writer.blobs[member.digest]
        blob = self.writer.stream(_read(member.path))
        if blob.digest != member.digest:
            raise CannotBundle(f"expected {member.digest}, got {blob.digest}", place=str(member.path), hint=_CHANGED)
        return blob

    def _boms(self, boms: Boms) -> Members:
        for diff_id, findings in {**self.keeper.software, **self.layers.software}.items():
            boms.keep(diff_id, findings)
        return boms.members(self.images, self.known.open)

    def _release(self, meta: Mapping[str, Any]) -> None:
        config = oci.descriptor(media.RELEASE, self.writer.put(canonical.dumps(meta)))
        empty = oci.descriptor(media.EMPTY, self.writer.put(media.EMPTY_BLOB))
        self.kinds["release"] = self.writer.put(oci.artifact_manifest("release", config, [empty]))


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise CannotBundle(f"cannot be read: {error.strerror}", place=str(path)) from error


def _notes(name: str, member: Path | sources.Pinned) -> dict[str, str]:
    executable = {media.EXECUTABLE: "true"} if isinstance(member, Path) and member.stat().st_mode & 0o100 else {}
    return {media.TITLE: name, **executable}
