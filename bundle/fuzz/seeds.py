#!/usr/bin/env python3
"""Write the corpus's first inputs: for each reader something that it accepts.

PYTHONPATH=bundle/tests:bundle/fuzz python bundle/fuzz/seeds.py
"""

from __future__ import annotations

from pathlib import Path

from forger import HEAD
from targets import TARGETS, forger
from vendors import TIME

from deploybundle import trust
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
    CORPUS.mkdir(exist_ok=True)
    for number, data in enumerate([*first, *(one.blobs[n % len(one.blobs)][:SMALL] for n in range(len(TARGETS) - len(first)))]):
        (CORPUS / f"seed-{number:02}").write_bytes(bytes([number]) + data)


if __name__ == "__main__":
    main()
