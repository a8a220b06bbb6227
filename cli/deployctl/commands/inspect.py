"""deployctl inspect: what a bundle holds."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deploybundle.open import Bundle, Descriptor, Image, Software, bom, repositories, software
from deploybundle.release import Release
from deployctl.apply import read_bundle
from deployctl.commands import show
from deployctl.commands.options import BundleFile, Json
from deployctl.commands.verify import Key, trusted

NAME = "inspect"
IMAGES = ("  image", "id", "layers", "raw", "in the bundle", "shared with others")
KINDS = {"deb": "Debian packages", "pypi": "Python distributions", "npm": "npm packages"}


def command(
    bundle: BundleFile, key: Key = None, as_json: Json = False,
    image: Annotated[str, typer.Option("--image", help="With --software or --sbom: of this image alone.")] = "",
    list_software: Annotated[bool, typer.Option("--software", help="List all software, with versions and licences.")] = False,
    sbom: Annotated[bool, typer.Option("--sbom", help="Print the bill of materials, CycloneDX as JSON.")] = False,
) -> None:  # fmt: skip
    """Show what a bundle holds and asks for: services, flows, settings, secrets, images, software, and who signed it.

    Example: deployctl inspect dist/collector-1.0.0.bundle.tar --software
    """
    opened = trusted(bundle, key)
    if sbom:
        show.out(bom(opened, image).decode())
    elif list_software or image:
        _list(software(opened, image), as_json)
    elif as_json:
        show.data(_data(opened, _release(opened)))
    else:
        show.out("\n".join(_shown(opened)))


def _list(found: list[Software], as_json: bool) -> None:
    if as_json:
        show.data([asdict(one) for one in found])
    else:
        rows = [(one.kind, one.name, one.version, ", ".join(one.licences) or "-") for one in found]
        show.out(show.table(rows, ("kind", "name", "version", "licences")))


def _shown(bundle: Bundle) -> Iterator[str]:
    yield _head(bundle)
    yield f"\n{_asks(_release(bundle))}"
    yield "\nimages"
    yield show.table([_row(image, bundle) for image in bundle.images.values()], IMAGES)
    if kept := [image for image in bundle.images.values() if image.kept]:
        yield "\nas others made them, byte for byte"
        yield show.table([(f"  {image.ref}", image.manifest.digest) for image in kept])
    yield from _software(bundle)
    if found := repositories(bundle):
        yield "\nfor hosts without Docker"
        yield "\n".join(f"  {target}: {len(one.packages)} packages, {_size(one.files)}" for target, one in found.items())
    yield "\nfiles of the project"
    yield "\n".join(f"  {name}  {show.size(blob.size)}" for name, blob in sorted(bundle.files.items()))
    yield "\ndeployctl for the deploy node"
    for python, wheels in sorted(bundle.wheels.items()):
        yield f"  Python {python}: {len(wheels)} wheels, {show.size(sum(wheel.size for wheel in wheels))}"
    yield "\n".join(f"  {name}: {show.size(blob.size)}" for name, blob in sorted(bundle.tools.items()))
    if pages := bundle.kinds.get("docs"):
        yield f"  documentation: {len(pages)} pages, {_size(pages)}"


def _size(files: Mapping[str, Descriptor]) -> str:
    return show.size(sum(blob.size for blob in files.values()))


def _software(bundle: Bundle) -> Iterator[str]:
    """How much of each kind, under which licences most."""
    if "sbom" not in bundle.kinds:
        return
    found = software(bundle)
    licences = Counter(licence for one in found for licence in set(one.licences))
    yield "\nsoftware (--software lists it, --sbom prints the bill of materials)"
    yield "  " + ", ".join(
        f"{count} {KINDS.get(kind, kind)}" for kind, count in Counter(one.kind for one in found).most_common()
    )
    unknown = sum(not one.licences for one in found)
    common = ", ".join(f"{name} {count}" for name, count in licences.most_common(8))
    yield f"  licences: {common}; of {len(licences)}. None stated: {unknown}"


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
        ("built by", bundle.statement.builder if bundle.statement else ""),
        ("from", _source(bundle)),
    ])  # fmt: skip


def _source(bundle: Bundle) -> str:
    """The commit, as the vendor states it."""
    said = bundle.meta.get("source")
    if not isinstance(said, dict):
        return "a folder outside git, or an early deployctl"
    changed = ", with files changed since" if said.get("changed") else ""
    return f"commit {str(said.get('commit'))[:40]} of {str(said.get('time'))[:20]}{changed}"


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
    others = {layer.diff_id for other in bundle.images.values() if other.ref != image.ref for layer in other.layers}
    shared = sum(layer.blob.size for layer in image.layers if layer.diff_id in others)
    sizes = show.size(raw), show.size(packed), show.size(shared)
    return f"  {image.ref}", image.config_digest[7:19], str(len(image.layers)), *sizes


def _data(bundle: Bundle, release: Release) -> dict[str, Any]:
    return {
        "release": bundle.meta,
        "index": bundle.index_digest,
        "signed_by": bundle.signed_by.fingerprint if bundle.signed_by else None,
        "signed_at": bundle.statement.time if bundle.statement else None,
        "images": {
            ref: {
                "id": image.config_digest,
                "manifest": image.manifest.digest,
                "kept": image.kept,
                "layers": [{"diff_id": one.diff_id, "size": one.raw_size, "packed": one.blob.size} for one in image.layers],
            }
            for ref, image in bundle.images.items()
        },
        "flows": [asdict(flow) for flow in release.flows],
        "settings": dict(release.settings),
        "secrets": {name: secret.kind for name, secret in release.secrets.items()},
        "files": {name: blob.digest for name, blob in sorted(bundle.files.items())},
        "tools": {name: blob.digest for name, blob in sorted(bundle.tools.items())},
        "packages": {
            target: {package.name: package.version for package in one.packages.values()}
            for target, one in repositories(bundle).items()
        },
        "software": [asdict(one) for one in software(bundle)] if "sbom" in bundle.kinds else None,
        "wheels": {python: [wheel.digest for wheel in wheels] for python, wheels in sorted(bundle.wheels.items())},
    }
