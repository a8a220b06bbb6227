"""deployctl inspect: what a bundle holds."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploybundle.open import Bundle, Image
from deploybundle.release import Release
from deployctl.apply import read_bundle
from deployctl.commands import show
from deployctl.commands.options import BundleFile, Json
from deployctl.commands.verify import Key, trusted

NAME = "inspect"


def command(bundle: BundleFile, key: Key = None, as_json: Json = False) -> None:
    """Show what a bundle holds and asks for: services, flows, settings, secrets, images, files, and who signed it.

    Example: deployctl inspect dist/collector-1.0.0.bundle.tar
    """
    opened = trusted(bundle, key)
    release = _release(opened)
    if as_json:
        show.data(_data(opened, release))
        return
    show.out(_head(opened))
    show.out(f"\n{_asks(release)}")
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
        ("size", show.size(bundle.size)),
        ("index", bundle.index_digest),
        ("signed by", signed.fingerprint if signed else "nobody"),
        ("in words", " ".join(signed.words) if signed else ""),
        ("signed at", bundle.statement.time if bundle.statement else ""),
    ])  # fmt: skip


def _release(bundle: Bundle) -> Release:
    """The release with the settings' defaults, and every profile."""
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        return read_bundle(bundle, Path(folder).resolve() / bundle.name, {}, ("*",), fill_required=True)


def _asks(release: Release) -> str:
    """What a client must know: where services go, what connects, what to answer."""
    rows = [("services", ", ".join(f"{one.name} ({one.spec.segment or 'any segment'})" for one in release.services.values()))]
    rows += [("flow", f"{flow.source} → {flow.target}:{flow.port}/{flow.protocol}") for flow in release.flows]
    rows += [
        ("setting", name if default is None else f"{name}={default}") for name, default in sorted(release.settings.items())
    ]
    rows += [("secret", f"{name} ({secret.kind})") for name, secret in sorted(release.secrets.items())]
    return show.table(rows)


def _row(image: Image, bundle: Bundle) -> tuple[str, ...]:
    raw, packed = sum(layer.raw_size for layer in image.layers), sum(layer.blob.size for layer in image.layers)
    return f"  {image.ref}", image.config_digest[7:19], str(len(image.layers)), show.size(raw), show.size(packed)


def _data(bundle: Bundle, release: Release) -> dict[str, Any]:
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
        "flows": [asdict(flow) for flow in release.flows],
        "settings": dict(release.settings),
        "secrets": {name: secret.kind for name, secret in release.secrets.items()},
        "files": {name: blob.digest for name, blob in sorted(bundle.files.items())},
        "tools": {name: blob.digest for name, blob in sorted(bundle.tools.items())},
        "wheels": {python: [wheel.digest for wheel in wheels] for python, wheels in sorted(bundle.wheels.items())},
    }
