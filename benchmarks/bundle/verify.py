"""verify.py BUNDLE PUBLIC-KEY: signatures and every byte; prints bytes and seconds of the hashing."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from deploybundle.open import open_bundle, verify_blobs
from deploybundle.trust import PublicKey

bundle = open_bundle(Path(sys.argv[1]), [PublicKey.load(Path(sys.argv[2]))])
began = time.monotonic()
verify_blobs(bundle)
seconds = time.monotonic() - began
print(json.dumps({"bytes": sum(at.size for at in bundle.blobs.values()), "seconds": seconds}))
