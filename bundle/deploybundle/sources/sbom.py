"""Software bills of materials: CycloneDX 1.6 (ECMA-424) as JSON, with package URLs and licences; same input, same bytes."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from deploybundle.errors import InputError
from deploybundle.sources.inventory import Inventory, Software
from deploybundle.sources.part import Part
from deploybundle.trust import canonical

try:
    from cyclonedx import spdx
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL
except ImportError:  # a deploy node makes no bundles
    spdx = None  # type: ignore[assignment]

SPACE = uuid.UUID("b3a1f1f4-6d0b-5c7e-9a35-2f8f3f2b8b1e")
"""Of our serial numbers (RFC 9562, version 5): the same contents have the same."""

# Debian's short names (DEP-5) of what SPDX calls otherwise.
DEP5 = {
    "Artistic": "Artistic-1.0-Perl", "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause",
    "BSD-4-clause": "BSD-4-Clause", "Expat": "MIT",
    "GPL-1": "GPL-1.0-only", "GPL-2": "GPL-2.0-only", "GPL-3": "GPL-3.0-only",
    "LGPL-2": "LGPL-2.0-only", "LGPL-2.1": "LGPL-2.1-only", "LGPL-3": "LGPL-3.0-only",
}  # fmt: skip
DEP5 |= {f"{name}+": identifier.replace("-only", "-or-later") for name, identifier in DEP5.items() if "GPL" in name}


class SbomImpossible(InputError):
    """The library that writes the bill of materials is not installed.

    It comes with the vendor's extra: pip install 'deployctl[vendor]'.
    """

    code = "sbom-library"


def image_sbom(ref: str, config_digest: str, inventory: Inventory) -> bytes:
    """One image's software."""
    part = Part("container", ref, config_digest, inventory.software, inventory.system)
    root = _part(part)
    bom = Bom(serial_number=uuid.uuid5(SPACE, f"{ref} {config_digest}"))
    bom.metadata.component = root
    components = list(_components(part).values())
    bom.components.update(components)
    bom.register_dependency(root, components)
    return _written(bom, unread=inventory.unread)


def release_sbom(name: str, version: str, time: str, parts: Iterable[Part]) -> bytes:
    """All software of a release: what its images hold, its packages for hosts, its wheels for the deploy node.

    `time` is the source's (ISO 8601), or empty.
    """
    _must_have_library()
    root = Component(type=ComponentType.APPLICATION, name=name, version=version, bom_ref=f"release:{name}@{version}")
    found: dict[str, Component] = {}
    holders: list[tuple[Component, list[Component]]] = []
    for part in parts:
        mine = _components(part, found)
        found.update(mine)
        holders.append((_part(part), list(mine.values())))
    identity = " ".join([name, version, *sorted(found), *(f"{each.name}@{each.version}" for each, _ in holders)])
    bom = Bom(serial_number=uuid.uuid5(SPACE, identity))
    bom.metadata.component = root
    bom.components.update([*(holder for holder, _ in holders), *found.values()])
    bom.register_dependency(root, [holder for holder, _ in holders])
    for holder, held in holders:
        bom.register_dependency(holder, held)
    return _written(bom, time=time)


def _must_have_library() -> None:
    if spdx is None:
        raise SbomImpossible("cyclonedx-python-lib is not installed", place="SBOM", hint="pip install 'deployctl[vendor]'")


def _part(part: Part) -> Component:
    _must_have_library()
    kind = {"container": ComponentType.CONTAINER, "platform": ComponentType.PLATFORM}.get(part.kind, ComponentType.APPLICATION)
    return Component(type=kind, name=part.name, version=part.version, bom_ref=f"{part.kind}:{part.name}@{part.version}")


def _components(part: Part, known: Mapping[str, Component] | None = None) -> dict[str, Component]:
    known = known or {}
    found: dict[str, Component] = {}
    for software in part.software:
        purl = purl_of(software, part.system)
        found[str(purl)] = known.get(str(purl)) or Component(
            type=ComponentType.LIBRARY, name=software.name, version=software.version, purl=purl, bom_ref=str(purl),
            licenses=_licences(tuple(software.licences), software.kind),
        )  # fmt: skip
    return found


def purl_of(software: Software, system: Mapping[str, str]) -> Any:
    """The package URL (github.com/package-url/purl-spec), by each type's own rules."""
    _must_have_library()
    name, space, more = software.name, None, {}
    if software.kind == "deb":
        space = system.get("ID") or "debian"
        distro = f"{space}-{system['VERSION_ID']}" if system.get("VERSION_ID") else ""
        more = {key: value for key, value in (("arch", software.arch), ("distro", distro)) if value}
    elif software.kind == "npm" and name.startswith("@"):
        space, _, name = name.partition("/")
    return PackageURL(software.kind, space, name or software.name, software.version, more)


@lru_cache(4096)
def _licences(names: tuple[str, ...], kind: str) -> list[Any]:
    """Names that SPDX knows by its identifier, one expression as such, all else by its name."""
    known = {DEP5.get(name, name) if kind == "deb" else name for name in names}
    if len(known) == 1 and kind != "deb":
        (only,) = known
        if not spdx.is_supported_id(only) and spdx.is_expression(only):
            return [LicenseExpression(only)]
    ids = {name: spdx.fixup_id(name) for name in known}
    return [DisjunctiveLicense(id=ids[name]) if ids[name] else DisjunctiveLicense(name=name) for name in sorted(known)]


def _written(bom: Any, *, time: str = "", unread: Iterable[str] = ()) -> bytes:
    """The document in one spelling: ours, without the time of writing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of an image in which nothing was found
        document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    document["metadata"].pop("timestamp", None)
    if time:
        document["metadata"]["timestamp"] = time
    notes = [{"name": "deployctl:not-read", "value": value} for value in unread]
    if notes:
        document["metadata"]["properties"] = notes
    return canonical.dumps(document)
