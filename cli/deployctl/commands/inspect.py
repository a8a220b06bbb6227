"""deployctl inspect: what a bundle holds."""

from __future__ import annotations

from typing import Any

from deploybundle.open import Bundle, Image
from deployctl.commands import show
from deployctl.commands.options import BundleFile, Json
from deployctl.commands.verify import Key, trusted

NAME = "inspect"


def command(bundle: BundleFile, key: Key = None, as_json: Json = False) -> None:
    """Show what a bundle holds: release, images with their layers, files, wheels, tools, and who signed it.

    Example: deployctl inspect dist/collector-1.0.0.bundle.tar
    """
    opened = trusted(bundle, key)
    if as_json:
        show.data(_data(opened))
        return
    show.out(_head(opened))
    show.out("\nimages")
    show.out(
        show.table(
            [_row(image, opened) for image in opened.images.values()], ("  image", "id", "layers", "raw", "in the bundle")
        )
    )
    show.out("\nfiles of the project")
    show.out("\n".join(f"  {name}  {show.size(blob.size)}" for name, blob in sorted(opened.files.items())))
    show.out("\ndeployctl for the deploy node")
    for python, wheels in sorted(opened.wheels.items()):
        show.out(f"  Python {python}: {len(wheels)} wheels, {show.size(sum(wheel.size for wheel in wheels))}")
    show.out("\n".join(f"  {name}: {show.size(blob.size)}" for name, blob in sorted(opened.tools.items())))


def _head(bundle: Bundle) -> str:
    signed = bundle.signed_by
    return show.table([
        ("release", f"{bundle.name} {bundle.version}"),
        ("for", ", ".join(bundle.meta["targets"]) or "any host with Docker"),
        ("size", show.size(bundle.path.stat().st_size)),
        ("index", bundle.index_digest),
        ("signed by", signed.fingerprint if signed else "nobody"),
        ("in words", " ".join(signed.words) if signed else ""),
        ("signed at", bundle.statement.time if bundle.statement else ""),
    ])  # fmt: skip


def _row(image: Image, bundle: Bundle) -> tuple[str, ...]:
    raw, packed = sum(layer.raw_size for layer in image.layers), sum(layer.blob.size for layer in image.layers)
    return f"  {image.ref}", image.config_digest[7:19], str(len(image.layers)), show.size(raw), show.size(packed)


def _data(bundle: Bundle) -> dict[str, Any]:
    return {
        "release": bundle.meta,
        "index": bundle.index_digest,
        "signed_by": bundle.signed_by.fingerprint if bundle.signed_by else None,
        "signed_at": bundle.statement.time if bundle.statement else None,
        "images": {
            ref: {
                "id": image.config_digest,
                "layers": [{"diff_id": one.diff_id, "size": one.raw_size, "packed": one.blob.size} for one in image.layers],
            }
            for ref, image in bundle.images.items()
        },
        "files": {name: blob.digest for name, blob in sorted(bundle.files.items())},
        "tools": {name: blob.digest for name, blob in sorted(bundle.tools.items())},
        "wheels": {python: [wheel.digest for wheel in wheels] for python, wheels in sorted(bundle.wheels.items())},
    }
