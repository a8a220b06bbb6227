"""The record on each host: what it runs since which run, in a schema that later versions read. No secret is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from deployctl.desired import Desired, HostDesired

SCHEMA = 1
VOLATILE = ("epoch", "run", "installed", "previous", "admitted")
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
        "services": {name: asdict(service) for name, service in host.services.items()},
        "files": sorted(host.files),
        "ports": {protocol: list(ports) for protocol, ports in host.ports.items()},
        "probes": [asdict(probe) for probe in host.probes],
        "entrances": list(desired.entrances),
    }


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
