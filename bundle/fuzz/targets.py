"""What the fuzzer and the regression test feed: one input, its first byte says to which reader.

Naive mutations die at a checksum or a digest. So a forger with the vendor's key puts the input where it belongs, with every
digest, size and signature around it made right: what is tried is what a stolen key could send.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from forger import HEAD, Forger
from vendors import make_vendor

from deploybundle import trust
from deploybundle.errors import DeployctlError
from deploybundle.open import Bundle, extract_files, open_bundle, verify_blobs
from deploybundle.open.names import check_names
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


def _used(bundle: Bundle) -> None:
    """All that a site would read."""
    verify_blobs(bundle)
    for image in bundle.images.values():
        for layer in image.layers:
            with bundle.open_layer(layer) as stream:
                while stream.read(1 << 16):
                    pass
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        extract_files(bundle, Path(folder) / "project")


TARGETS: tuple[Callable[[bytes], None], ...] = (
    _whole, _blobs, _index, _dsse, _sshsig, _keyset, _json, _names, *(_blob(number) for number in range(24)),
)  # fmt: skip


def feed(data: bytes) -> None:
    """Give an input to its reader. A refusal is right; any other exception is a find."""
    if data:
        with contextlib.suppress(DeployctlError):
            TARGETS[data[0] % len(TARGETS)](data[1:])
