"""Images from an OCI image layout, a folder or a tar of one (image-layout.md of the OCI image specification 1.1).

`docker buildx build --output type=oci`, `docker save` from Docker 25 on, `skopeo copy … oci:` and `oci-archive:` write such.
Read as if an attacker wrote it: names are made here from digests, sizes and digests are checked, links are not followed.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from deploybundle import oci
from deploybundle.errors import InputError
from deploybundle.release import Port
from deploybundle.trust import canonical

from .images import Exported, ImageInfo, ImageMissing, ImageSource, Kept

JSON_LIMIT = 4 << 20
MOST_FILES = 100_000
PLATFORM = ("linux", "amd64")
NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_HINT = "expected a folder or tar with oci-layout, index.json and blobs/sha256; `docker save` writes one from Docker 25 on"


class LayoutInvalid(InputError):
    """What `--images` names is no OCI image layout, or is damaged.

    Make it again, with `docker buildx build --output type=oci`, `docker save` (Docker 25 or newer) or `skopeo copy`. An archive
    of an older Docker: `docker load` it, and bundle without `--images`.
    """

    code = "layout-invalid"


class _Files(Protocol):
    """The layout's files by their names."""

    def open(self, name: str) -> BinaryIO:
        """KeyError or OSError if there is no such regular file."""


@dataclass(frozen=True)
class _Folder:
    path: Path

    def open(self, name: str) -> BinaryIO:
        file = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise FileNotFoundError(name)
        return os.fdopen(file, "rb")


@dataclass(frozen=True)
class _Archive:
    """`files` are offset and size of each."""

    path: Path
    files: Mapping[str, tuple[int, int]]

    def open(self, name: str) -> BinaryIO:
        offset, size = self.files[name]
        return cast(BinaryIO, io.BufferedReader(_Piece(self.path, offset, size), 1 << 20))


class _Piece(io.RawIOBase):
    """A part of a file."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file, self._left = path.open("rb", buffering=0), size
        self._file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            count = self._file.readinto(view[: self._left]) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _files(path: Path) -> _Files:
    return _Folder(path) if path.is_dir() else open_archive(path)


def open_archive(path: Path) -> _Files:
    """The regular files of a tar. LayoutInvalid if it is none, or plays tricks."""
    try:
        with tarfile.open(path, "r:") as tar:
            return _Archive(path, dict(_members(tar, path.stat().st_size)))
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise LayoutInvalid(f"is no OCI image layout: {error}", place=str(path), hint=_HINT) from error


def _members(tar: tarfile.TarFile, end: int) -> Iterator[tuple[str, tuple[int, int]]]:
    seen = set[str]()
    for member in tar:
        name = member.name.removeprefix("./")
        if not member.isreg() or member.issparse():
            continue
        if name in seen or len(seen) == MOST_FILES or member.offset_data + member.size > end:
            raise ValueError(f"{name[:200]!r} stands twice, ends behind the file, or is one of too many")
        seen.add(name)
        yield name, (member.offset_data, member.size)


@dataclass(frozen=True)
class Layout:
    """An OCI image layout. `only` is the image's name where its maker gave it none, or another."""

    path: Path
    files: _Files
    index: Mapping[str, Any]
    only: str = ""

    def find(self, ref: str) -> ImageInfo | None:
        """The image of this name, for linux on amd64. LayoutInvalid if it is there and not as it should be."""
        try:
            found = [entry for entry in _entries(self.index) if self._is(ref, entry)]
            return self._image(ref, self._manifest(found, ref, 0)) if found else None
        except (ValueError, LookupError, OSError) as error:
            raise self._invalid(error, ref) from error

    def _is(self, ref: str, entry: Mapping[str, Any]) -> bool:
        if self.only:
            return ref == self.only
        name, _, digest = ref.partition("@")
        if digest:
            return entry.get("digest") == digest
        notes = entry.get("annotations")
        said = [str(notes[key]) for key in NAMES if key in notes] if isinstance(notes, dict) else []
        return whole_name(name) in [whole_name(one) for one in said if "/" in one or ":" in one] or ref in said

    def _manifest(self, entries: Sequence[Mapping[str, Any]], ref: str, depth: int) -> oci.Part:
        """The one manifest that is meant, in whatever index it stands."""
        fit = [entry for entry in entries if _fits(entry)]
        if len({str(entry.get("digest")) for entry in fit}) != 1:
            raise ValueError(f"{ref}: expected one image for {'/'.join(PLATFORM)}, got {len(fit)}")
        part = oci.read_part(fit[0])
        if part.media_type not in oci.INDEXES:
            return part
        if depth == 2:
            raise ValueError("indexes within indexes within indexes")
        return self._manifest(list(_entries(_object(self.read(part)))), ref, depth + 1)

    def _image(self, ref: str, part: oci.Part) -> ImageInfo:
        data = self.read(part)
        manifest = oci.read_manifest(data, part.media_type)
        config = self.read(manifest.config)
        return image_info(ref, Kept(data, part.media_type, config, manifest.layers, self.open, str(self.path)))

    def open(self, part: oci.Part) -> BinaryIO:
        """A blob, not checked."""
        try:
            return self.files.open("blobs/sha256/" + part.digest.removeprefix("sha256:"))
        except (LookupError, OSError) as error:
            raise self._invalid(f"lacks the blob {part.digest}", "") from error

    def read(self, part: oci.Part) -> bytes:
        """A small blob, checked. ValueError if it is another."""
        with self.open(part) as file:
            data = file.read(JSON_LIMIT + 1)
        got = f"sha256:{sha256(data).hexdigest()}"
        if part.size > JSON_LIMIT or (len(data), got) != (part.size, part.digest):
            raise ValueError(f"expected {part.digest} of {part.size} bytes, got {got} of {len(data)}")
        return data

    def _invalid(self, error: object, ref: str) -> LayoutInvalid:
        place = f"{self.path}: {ref}" if ref else str(self.path)
        return LayoutInvalid(str(error), place=place, hint="make it again; nothing of it was used")


def read_layout(path: Path, only: str = "") -> Layout:
    """The layout of a folder or tar; `only` is the name of its only image. LayoutInvalid if it is none."""
    try:
        return layout_of(path, _files(path), only)
    except OSError as error:
        raise LayoutInvalid(f"is no OCI image layout: {error}", place=str(path), hint=_HINT) from error


def layout_of(path: Path, files: _Files, only: str = "") -> Layout:
    """The same of files that were found already; `path` is how to name them to a person."""
    try:
        with files.open("oci-layout") as file:
            said = _object(file.read(JSON_LIMIT)).get("imageLayoutVersion")
        if said != "1.0.0":
            raise ValueError(f"oci-layout: expected version 1.0.0, got {str(said)[:40]!r}")
        with files.open("index.json") as file:
            index = _object(file.read(JSON_LIMIT))
        list(_entries(index))
    except (ValueError, LookupError, OSError) as error:
        raise LayoutInvalid(f"is no OCI image layout: {error}", place=str(path), hint=_HINT) from error
    return Layout(path, files, index, only)


def _entries(index: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = index.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("index: manifests: expected a list of descriptors")
    yield from entries


def _fits(entry: Mapping[str, Any]) -> bool:
    """Of this platform, or of none that is said; no attestation."""
    platform = entry.get("platform")
    return not isinstance(platform, dict) or (platform.get("os"), platform.get("architecture")) == PLATFORM


def _object(data: bytes) -> dict[str, Any]:
    value = canonical.loads_foreign(data)
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def image_info(ref: str, kept: Kept) -> ImageInfo:
    """The facts of an image that is kept. ValueError if config and layers do not fit."""
    ids = oci.diff_ids(kept.config)
    if len(ids) != len(kept.layers):
        raise ValueError(f"expected as many diff_ids as layers, got {len(ids)} and {len(kept.layers)}")
    size = sum(layer.size for layer in kept.layers)
    return ImageInfo(ref, f"sha256:{sha256(kept.config).hexdigest()}", ids, size, _exposed(kept.config), kept)


def _exposed(config: bytes) -> tuple[Port, ...]:
    """The ports that the Dockerfile EXPOSEs."""
    said = _object(config).get("config")
    ports = said.get("ExposedPorts") if isinstance(said, dict) else None
    found = []
    for text in ports if isinstance(ports, dict) else ():
        number, _, protocol = str(text).partition("/")
        if not number.isdecimal() or not 0 < int(number) < 1 << 16:
            raise ValueError(f"ExposedPorts: {text!r} is no port")
        found.append(Port(int(number), "udp" if protocol == "udp" else "tcp"))
    return tuple(sorted(found))


def whole_name(ref: str) -> str:
    """A name with its registry and its tag, as containerd spells it."""
    name, _, digest = ref.partition("@")
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return f"{tagged}@{digest}" if digest else tagged


@dataclass
class Layouts:
    """Images from layouts where they have them, else from another source, which is asked for only if it is needed."""

    layouts: Sequence[Layout]
    other: Callable[[], ImageSource]
    made: ImageSource | None = None

    def inspect(self, refs: Sequence[str], *, used_by: Mapping[str, Sequence[str]] | None = None) -> list[ImageInfo]:
        """Facts of each image; the first layout that has it counts."""
        here = {ref: found for ref in refs if (found := self._find(ref))}
        self._check_asked(refs)
        left = [ref for ref in refs if ref not in here]
        there = {info.ref: info for info in self._rest().inspect(left, used_by=used_by)} if left else {}
        return [replace(info, ref=ref) for ref in dict.fromkeys(refs) for info in [here.get(ref) or there[ref]]]

    def export(self, images: Sequence[ImageInfo], have: Collection[str]) -> Iterator[Exported]:
        """The other source's; kept ones are never asked for."""
        yield from self._rest().export(images, have)

    def _find(self, ref: str) -> ImageInfo | None:
        return next((found for layout in self.layouts if (found := layout.find(ref))), None)

    def _check_asked(self, refs: Sequence[str]) -> None:
        """Whoever names an image that nobody uses has misspelt it."""
        strange = [layout.only for layout in self.layouts if layout.only and layout.only not in refs]
        if strange:
            raise ImageMissing(strange, dict.fromkeys(strange, ("none: no service uses it",)))

    def _rest(self) -> ImageSource:
        self.made = self.made or self.other()
        return self.made
