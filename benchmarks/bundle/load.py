"""load.py ENCODING BUNDLE REF...: what an install does with images on one host: only the layers that the engine lacks, into `docker load`.

Prints the bytes sent.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

from deploybundle.open import Bundle, Image, open_bundle
from deployctl.hosts.wire import Encoding, loaded_ids, wire

Chains = dict[str, list[str]]


def main(encoding: Encoding, path: Path, refs: list[str]) -> None:
    """Load them."""
    bundle, chains = open_bundle(path, None), there()
    print(sum(load(bundle, bundle.images[ref], chains, encoding) for ref in refs))


def there() -> Chains:
    """The layers of every image that the engine has, by its ID."""
    ids = subprocess.run(
        ["docker", "image", "ls", "-aq", "--no-trunc"], capture_output=True, text=True, check=True
    ).stdout.split()
    command = ["docker", "image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", *set(ids)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout if ids else ""
    return {line.partition(" ")[0]: json.loads(line.partition(" ")[2]) or [] for line in said.splitlines()}


def load(bundle: Bundle, image: Image, chains: Chains, encoding: Encoding) -> int:
    """What the engine lacks of an image."""
    if loaded_ids(image) & set(chains):
        return 0
    layers = [layer.diff_id for layer in image.layers]
    shared = max((_prefix(layers, other) for other in chains.values()), default=0)
    size, stream = wire(image, range(shared, len(layers)), encoding, bundle.open, tag=image.ref)
    with subprocess.Popen(["docker", "load", "-q"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin
        for chunk in stream:
            process.stdin.write(chunk)
        process.stdin.close()
    if process.returncode:
        raise SystemExit(f"docker load: {image.ref}: exit {process.returncode}")
    chains[image.config_digest] = layers
    return size


def _prefix(one: list[str], other: list[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


if __name__ == "__main__":
    main(cast(Encoding, sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
