#!/usr/bin/env python3
"""Write the corpus's first inputs: for each reader something that it accepts.

PYTHONPATH=bundle/tests:bundle/fuzz python bundle/fuzz/seeds.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from forger import HEAD
from layouts import Layout
from targets import TARGETS, a_patch, delta_words, forger, small_files
from vendors import APP, TIME

from deploybundle import trust
from deploybundle.open import Holds, Receipt, Runs, write_receipt
from deploybundle.open.stored import recipe
from deploybundle.trust import KeySet, VendorKey, canonical

CORPUS = Path(__file__).parent / "corpus"
SMALL = 4096


def main() -> None:
    """Write them all."""
    one = forger()
    index = canonical.dumps(one.index)
    keys = KeySet(2, (VendorKey(one.signer.public, TIME.date()),), {one.signer.public.fingerprint[:-1] + "A": "lost"})
    first = [
        one.forged()[:SMALL], one.forged()[HEAD : HEAD + SMALL], index, trust.dsse(index, one.signer, "x", TIME),
        trust.sshsig(index, one.signer), keys.dumps(), index, "\n".join(one.bundle.files).encode(),
    ]  # fmt: skip
    last = list(_newer())
    between = len(TARGETS) - len(first) - len(last)
    CORPUS.mkdir(exist_ok=True)
    for number, data in enumerate([*first, *(one.blobs[n % len(one.blobs)][:SMALL] for n in range(between)), *last]):
        (CORPUS / f"seed-{number:02}").write_bytes(bytes([number]) + data)


def _newer() -> Iterator[bytes]:
    """For the readers of deltas, patches, receipts, parts, stores, repositories and layouts, in the order of the targets."""
    digest, one = "sha256:" + "0" * 64, Layout()
    one.name(manifest := one.image([APP]), ref="shop/app:1")
    yield from (small_files(), delta_words(), delta_words(), a_patch(), b"\x04\x02\x03\x00\x01\x02dd" + b"extra")
    receipt = Receipt("acme", "2026-11-21T10:00:00Z", (Holds("a", "1", digest),), (Runs("a", "1", digest, 1, 1, 1),), (digest,))
    yield write_receipt(receipt, "full", forger().signer).partition(b"-----BEGIN")[0]
    yield f"# deployctl parts 1: 512 bytes, 512 each\n{digest[7:]}  x.bundle.tar.001\n".encode()
    yield recipe(b"head", [])
    yield b"Package: a\nVersion: 1\nFilename: ./a.deb\nDepends: b (>= 2) | c\nInstalled-Size: 7\n"
    yield one.files[f"blobs/sha256/{manifest['digest'][7:]}"]
    with tempfile.TemporaryDirectory() as folder:
        yield one.archive(Path(folder, "x.tar")).read_bytes()


if __name__ == "__main__":
    main()
