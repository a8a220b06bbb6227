"""What the fuzzer and the regression test feed: one input, its first byte says to which reader.

Naive mutations die at a checksum or a digest. So a forger with the vendor's key puts the input where it belongs, with every
digest, size and signature around it made right: what is tried is what a stolen key could send.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import zstandard
from forger import HEAD, Forger
from memory_images import layer
from vendors import BASE, Vendor, make_vendor, noise

from deploybundle import oci, trust
from deploybundle.errors import DeployctlError
from deploybundle.open import Bundle, Descriptor, delta, extract_files, media, open_bundle, parts, patch, stored, verify_blobs
from deploybundle.open import packages as repository
from deploybundle.open.names import check_names
from deploybundle.open.receipt import NAMESPACE, read_receipt
from deploybundle.open.tar import END, header, padding
from deploybundle.sources import read_layout
from deploybundle.store import Store
from deploybundle.trust import canonical


@cache
def _vendor() -> tuple[Path, object]:
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    vendor = make_vendor(home)
    vendor.build()
    return home, vendor


def forger() -> Forger:
    """A forger with an untouched bundle in his hands."""
    home, vendor = _vendor()
    return Forger(vendor, home)  # type: ignore[arg-type]


def _whole(data: bytes) -> None:
    """The file itself."""
    one = forger()
    one.path.write_bytes(data)
    _used(open_bundle(one.path, None))


def _blobs(data: bytes) -> None:
    """Everything after a good head: headers, blobs, the end."""
    one = forger()
    one.path.write_bytes(one.forged()[:HEAD] + data)
    _used(open_bundle(one.path, None))


def _index(data: bytes) -> None:
    """The index, signed."""
    _used(forger().open(data))


def _blob(number: int) -> Callable[[bytes], None]:
    """A blob, named rightly by whatever names it: a manifest, a config, a layer, a member."""

    def feed(data: bytes) -> None:
        one = forger()
        old = one.blobs[number % len(one.blobs)]
        if data not in one.blobs:
            with contextlib.suppress(RecursionError):  # an input that names what names it: the forger gives up
                one.replace(old, data)
        _used(one.open())

    return feed


def _dsse(data: bytes) -> None:
    one = forger()
    trust.verify_dsse(data, one.bundle.index, [one.signer.public])


def _sshsig(data: bytes) -> None:
    one = forger()
    trust.verify_sshsig(data, one.bundle.index, [one.signer.public])


def _keyset(data: bytes) -> None:
    found = trust.read_keyset(data, "keyset.json")
    assert found.dumps() == data


def _json(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert canonical.dumps(canonical.loads(data)) == data


def _names(data: bytes) -> None:
    names = data.decode("utf-8", "surrogateescape").split("\n")
    check_names(names, "names")
    base = Path("/project")
    assert all((base / name).resolve().is_relative_to(base) for name in names)


@cache
def _released() -> tuple[Vendor, list[tuple[str, bytes]]]:
    """A vendor with a release and a delta to the next one, in which a layer is a patch; and the delta's small files."""
    vendor = make_vendor(Path(tempfile.mkdtemp(prefix="fuzz-")))
    old, new = noise(5, 90_000), noise(5, 60_000) + b"changed" + noise(6, 20_000)
    vendor.source.images = {"collector/app:1": [BASE, layer({"lib": old})]}
    vendor.build("old.bundle.tar")
    vendor.source.images = {"collector/app:2": [BASE, layer({"lib": new})]}
    vendor.build("new.delta.tar", since=[vendor.open("old.bundle.tar")])
    data = (vendor.home / "dist/new.delta.tar").read_bytes()
    name = data.rindex(b"deployctl/delta.")
    packed = zstandard.ZstdDecompressor().decompressobj().decompress(data[name + 512 :])
    return vendor, list(_members(packed))


def _members(data: bytes) -> Any:
    at = 0
    while data[at]:
        name, size = data[at : at + 100].rstrip(b"\0").decode(), int(data[at + 124 : at + 135], 8)
        yield name, data[at + 512 : at + 512 + size]
        at += 512 + size + padding(size)


def small_files() -> bytes:
    """The delta's small files as a tar."""
    return _tar(_released()[1])


def delta_words() -> bytes:
    """The delta's own words."""
    return dict(_released()[1])["deployctl/delta.json"]


def a_patch() -> bytes:
    """A patch that makes a layer."""
    return next(data for _, data in _released()[1] if data.startswith(patch.MAGIC))


def _tar(files: list[tuple[str, bytes]]) -> bytes:
    return b"".join(header(name, len(data)) + data + bytes(padding(len(data))) for name, data in files) + END


def _small(data: bytes) -> None:
    """The small files of a delta, in their frame."""
    packed = zstandard.ZstdCompressor(level=1).compress(data)
    name = media.SMALL.format(hashlib.sha256(packed).hexdigest())
    vendor = _released()[0]
    path = vendor.home / "dist/forged.delta.tar"
    path.write_bytes(header(media.DELTA, 0) + _tar([(name, packed)]))
    bundle = open_bundle(path, None)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        store = Store(Path(folder))
        store.admit(vendor.open("old.bundle.tar"))
        store.complete(bundle)


def _words(data: bytes) -> None:
    """A delta's own words, signed, all else untouched."""
    signer = _released()[0].signer
    changed = {"deployctl/delta.json": data, "deployctl/delta.sshsig": trust.sshsig(data, signer, delta.NAMESPACE)}
    _small(_tar([(name, changed.get(name, was)) for name, was in _released()[1]]))


def _spelled(data: bytes) -> None:
    assert delta.spell(delta.parse(data, "delta.json")) == data


def _patch(data: bytes) -> None:
    """A patch as it is."""
    old = bytes(range(256)) * 400
    made = patch.apply(lambda at, size: io.BytesIO(data[at : at + size]), len(data), lambda at, size: old[at : at + size], "x")
    size = sum(map(len, made))
    assert size == patch.read_head(data, len(data), "x").new_size


def _frames(data: bytes) -> None:
    """A patch whose frames are right: sizes in the first two bytes, then control, diff and extra."""
    if len(data) > 2:
        one, two = data[0], data[0] + data[1]
        frames = [zstandard.compress(part) for part in (data[2 : 2 + one], data[2 + one : 2 + two], data[2 + two :])]
        _patch(patch.HEAD.pack(patch.MAGIC, 256 * 400, 1 << 20, *map(len, frames)) + b"".join(frames))


def _receipt(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as file:
        file.write(data + trust.sshsig(data, forger().signer, NAMESPACE))
        file.flush()
        read_receipt(Path(file.name))


def _list(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, "x.bundle.tar.parts")
        path.write_bytes(data)
        Path(folder, "x.bundle.tar.001").write_bytes(b"x" * 512)
        parts.find_parts(path)


def _stored(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, "x.stored")
        path.write_bytes(data)
        found = stored.find_stored(path)
        view = memoryview(bytearray(4096))
        assert all(found.open().read_into(view, at) >= 0 for at in range(0, min(found.size, 65536), 4096))


def _packages(data: bytes) -> None:
    """The apt repository's list of packages."""
    file = Descriptor(media.FILE, "sha256:" + "0" * 64, 7, {})
    bundle = SimpleNamespace(
        read=lambda _: data, path=Path("x"), kinds={"packages-debian-13": {"Packages": file, "a.deb": file}}
    )
    found = repository.repositories(cast(Bundle, bundle))["debian-13"]
    assert all(package in found.packages.values() for package in found.closure(list(found.packages)))


def _foreign(data: bytes) -> None:
    """Somebody else's manifest and config."""
    for read in (lambda: oci.read_manifest(data, oci.MANIFESTS[0]), lambda: oci.diff_ids(data)):
        with contextlib.suppress(ValueError):
            read()


def _layout(data: bytes) -> None:
    """An archive of somebody else's images."""
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as file:
        file.write(data)
        file.flush()
        read_layout(Path(file.name)).find("shop/app:1")


def _used(bundle: Bundle) -> None:
    """All that a site would read."""
    verify_blobs(bundle)
    for image in bundle.images.values():
        for one in image.layers:
            with bundle.open_layer(one) as stream:
                while stream.read(1 << 16):
                    pass
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        extract_files(bundle, Path(folder) / "project")


TARGETS: tuple[Callable[[bytes], None], ...] = (
    _whole, _blobs, _index, _dsse, _sshsig, _keyset, _json, _names, *(_blob(number) for number in range(24)),
    _small, _words, _spelled, _patch, _frames, _receipt, _list, _stored, _packages, _foreign, _layout,
)  # fmt: skip


def feed(data: bytes) -> None:
    """Give an input to its reader. A refusal is right; any other exception is a find."""
    if data:
        with contextlib.suppress(DeployctlError):
            TARGETS[data[0] % len(TARGETS)](data[1:])
