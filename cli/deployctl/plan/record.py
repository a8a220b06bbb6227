"""The record on each host: what it runs since which run, in a schema that later versions read. No secret is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from deploybundle.errors import SiteError
from deployctl.desired import Desired, File, HostDesired, ServiceDesired

SCHEMA = 2
"""1: `files` was a list of paths, and there were no `images`, `pool`, `answers` and `hosts`."""


class RecordTooNew(SiteError):
    """A later deployctl wrote the host's record.

    The record says what a host has, and deployctl does not guess: use the deployctl of the newer bundle (`install.py`).
    """

    code = "record-too-new"


class RecordDamaged(SiteError):
    """The record on a host is none.

    Somebody changed `/var/lib/deployctl/PRODUCT/record.json`. The one before it lies beside it, as `record.previous.json`.
    """

    code = "record-damaged"


VOLATILE = ("epoch", "run", "installed", "previous", "admitted", "signer")
"""What differs between two runs that install the same."""


def record(
    desired: Desired, host: HostDesired, client: str, index_digest: str, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is written as record.json when all of a host's steps are done; epoch, run and time are added then.

    `before` is the host's record of now: it tells which release was there, and what was ever admitted.
    """
    release = {"version": desired.version, "index": index_digest}
    return {
        "schema": SCHEMA,
        "client": client,
        "project": desired.project,
        "host": host.name,
        "release": release,
        "previous": _previous(release, before),
        "admitted": sorted({index_digest, *(before or {}).get("admitted", [])}),
        "waves": desired.waves,
        "services": {name: _service(service) for name, service in host.services.items()},
        "files": {path: _file(file) for path, file in sorted(host.files.items())},
        "images": sorted({*(service.tag for service in host.services.values()), *(before or {}).get("images", [])}),
        "pool": desired.pool,
        "answers": list(desired.answers),
        "hosts": dict(desired.placed),
        "ports": {protocol: list(ports) for protocol, ports in host.ports.items()},
        "probes": [asdict(probe) for probe in host.probes],
        "entrances": list(desired.entrances),
    }


def _service(service: ServiceDesired) -> dict[str, Any]:
    return {**asdict(service), "names": list(service.names)}


def _file(file: File) -> dict[str, Any]:
    """How it was written. Of a secret no digest: a weak one could be guessed from it."""
    if file.link is not None:
        return {"link": file.link}
    kind: dict[str, Any] = {"folder": True} if file.folder else {"secret": True} if file.secret else {"sha256": file.digest}
    return {**kind, "mode": file.mode, "uid": file.uid, "gid": file.gid}


def read_record(found: Any, place: str) -> dict[str, Any] | None:
    """The record of a host in today's schema; one of an older schema is migrated.

    Raises RecordTooNew for one that a later deployctl wrote, RecordDamaged for what is no record.
    """
    if found is None:
        return None
    schema = found.get("schema") if isinstance(found, dict) else None
    if not isinstance(schema, int) or schema < 1:
        hint = "it was changed by hand: put record.previous.json in its place, or move it away and install again"
        raise RecordDamaged("record.json is no record of ours", place=place, hint=hint)
    if schema > SCHEMA:
        message = f"record.json has schema {schema}, which a later deployctl wrote; this one knows {SCHEMA}"
        raise RecordTooNew(message, place=place, hint="use the deployctl of the newer bundle")
    return _from_1(found) if schema == 1 else found


def _from_1(old: Mapping[str, Any]) -> dict[str, Any]:
    """What schema 1 did not say stays unsaid; the next install writes it."""
    images = sorted({service["tag"] for service in old["services"].values()})
    return {**old, "files": {path: {} for path in old["files"]}, "images": images, "pool": None, "answers": None, "hosts": {}}


def _previous(release: Mapping[str, str], before: Mapping[str, Any] | None) -> Any:
    """The release that this one replaces; installing the same again does not forget it."""
    if before is None:
        return None
    return before["release"] if before.get("release", release) != release else before.get("previous")


def same_record(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two records say the same, whenever they were written."""
    return one is not None and _lasting(one) == _lasting(other)


def _lasting(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in VOLATILE}
