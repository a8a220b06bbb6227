"""build.py OUT KEY SOURCE SINCE IMAGE...: a bundle of these images and nothing else.

SOURCE is the engine's "disk" or its "api"; with SINCE, a bundle, a delta; else "-".

The bundles in the folder of OUT are the earlier ones. Prints what was exported, compressed and reused, in bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deploybundle import pack, sources, trust
from deploybundle.open import open_bundle


def main(out: Path, key: Path, source: str, since: str, refs: list[str]) -> None:
    """Build it."""
    images = sources.DockerImages(disk=source == "disk")
    services = {ref.partition("/")[2].partition(":")[0]: {"image": ref} for ref in refs}
    meta = {"schema": 1, "name": "bench", "version": refs[-1].rpartition(":")[2], "services": services}
    built = pack.build(
        out, meta=meta, images=images.inspect(refs), source=images, files={}, wheels={}, tools={},
        signer=trust.load_private(key, None), known=pack.earlier(out.parent),
        since=[open_bundle(Path(since), None)] if since != "-" else [],
    )  # fmt: skip
    print(json.dumps({"exported": built.exported, "compressed": built.compressed, "reused": built.reused}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
