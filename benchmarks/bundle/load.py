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
from deployctl.hosts.loading import Ready, held_back, in_order, load_all
from deployctl.hosts.wire import Encoding, loaded_ids, wire

Chains = dict[str, list[str]]


def main(encoding: Encoding, path: Path, refs: list[str]) -> None:
    """Load them."""
    bundle, chains = open_bundle(path, None), there()
    sending: list[tuple[Image, range]] = []
    for image in in_order([bundle.images[ref] for ref in refs]):
        if not loaded_ids(image) & set(chains):
            layers = [layer.diff_id for layer in image.layers]
            sending.append((image, range(max((_prefix(layers, other) for other in chains.values()), default=0), len(layers))))
            chains[image.config_digest] = layers
    print(sum(load_all(sending, lambda number, ready: load(bundle, *sending[number], encoding, ready))))


def there() -> Chains:
    """The layers of every image that the engine has, by its ID."""
    ids = subprocess.run(
        ["docker", "image", "ls", "-aq", "--no-trunc"], capture_output=True, text=True, check=True
    ).stdout.split()
    command = ["docker", "image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", *set(ids)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout if ids else ""
    return {line.partition(" ")[0]: json.loads(line.partition(" ")[2]) or [] for line in said.splitlines()}


def load(bundle: Bundle, image: Image, missing: range, encoding: Encoding, ready: Ready) -> int:
    """What the engine lacks of an image."""
    size, stream = wire(image, missing, encoding, bundle.open, tag=image.ref)
    with subprocess.Popen(["docker", "load", "-q"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin
        for chunk in held_back(stream, ready):
            process.stdin.write(chunk)
        process.stdin.close()
    if process.returncode:
        raise SystemExit(f"docker load: {image.ref}: exit {process.returncode}")
    return size


def _prefix(one: list[str], other: list[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


if __name__ == "__main__":
    main(cast(Encoding, sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
