"""verify.py BUNDLE PUBLIC-KEY TIMES: signatures, and every byte so many times; prints bytes and seconds of the hashing.

Once takes 0.02 s, in which a second core hardly wakes up; openssl, whose speed it is compared with, hashes for two seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from deploybundle.open import open_bundle, verify_blobs
from deploybundle.trust import PublicKey

bundle = open_bundle(Path(sys.argv[1]), [PublicKey.load(Path(sys.argv[2]))])
times = int(sys.argv[3])
began = time.monotonic()
for _ in range(times):
    verify_blobs(bundle)
seconds = time.monotonic() - began
print(json.dumps({"bytes": times * sum(at.size for at in bundle.blobs.values()), "seconds": seconds}))
