"""What Ansible is given: the plan as JSON, and an archive of files a host. Secrets are in them: a private folder, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployctl.apply.archive import write_archive
from deployctl.apply.prepare import Prepared
from deployctl.desired.paths import record_file
from deployctl.desired.readme import table
from deployctl.plan import HostPlan, Leave, Plan

SCHEMA = 1
NOTHING = {"bundle": "", "waves": 0}
"""What a removal has none of."""


def stage_removal(plan: Plan, work: Path, run: str) -> Path:
    """Write plan.json of a removal below `work`."""
    hosts = {name: {"leave": as_data(leave, plan.project)} for name, leave in plan.leaving.items()}
    path = work / "plan.json"
    content = {"schema": SCHEMA, "run": run, "client": plan.client, "project": plan.project, **NOTHING, "hosts": hosts}
    path.write_text(json.dumps(content, indent=1))
    return path


def as_data(leave: Leave, project: str) -> dict[str, Any]:
    """What roles need to take a product away from a host."""
    record = record_file(project)
    return {
        "table": table(project),
        "services": list(leave.services),
        "images": list(leave.images),
        "volumes": list(leave.delete),
        "last": leave.last,
        "files": [*leave.files, *leave.strangers, *leave.shared],
        "records": [record, record.replace(".json", ".previous.json")],
    }


def stage(prepared: Prepared, work: Path, stamp: Mapping[str, Any]) -> Path:
    """Write the archives and plan.json below `work`; return plan.json. `stamp` (run, epoch, installed) goes into records."""
    hosts = {name: _host(prepared, steps, work, stamp) for name, steps in prepared.plan.changed.items()}
    plan = prepared.plan
    content = {
        "schema": SCHEMA, "run": stamp["run"], "client": plan.client, "project": plan.project, "version": plan.version,
        "epoch": stamp["epoch"], "bundle": plan.bundle, "waves": plan.waves, "hosts": hosts,
    }  # fmt: skip
    path = work / "plan.json"
    path.write_text(json.dumps(content, indent=1))
    return path


def _host(prepared: Prepared, steps: HostPlan, work: Path, stamp: Mapping[str, Any]) -> dict[str, Any]:
    shall = prepared.desired.hosts.get(steps.name)
    files = shall.files if shall else {}
    archive = work / f"{steps.name}.tar"
    write_archive(archive, {path: files[path] for path in steps.write})
    return {
        "images": [
            {"ref": step.ref, "tag": step.tag, "config": step.config, "missing": list(step.missing)} for step in steps.images
        ],
        "packages": {"target": steps.packages.target, "names": steps.packages.names, "files": steps.packages.files}
        if steps.packages
        else {},
        "wire": steps.encoding,
        "bytes": steps.size,
        "files": {"archive": str(archive), "write": list(steps.write), "remove": list(steps.remove)},
        "network": {"load": steps.network},
        "waves": {str(wave): list(names) for wave, names in steps.waves.items()},
        "restart": list(steps.restart),
        "anew": list(steps.anew),
        "unwatched": _unwatched(shall.compose) if shall else [],
        "remove_services": list(steps.stop),
        "migrate": [{"wave": wave, "service": service} for wave, service in steps.migrate],
        "record": {**steps.record, **stamp},
        "leave": as_data(steps.leave, prepared.plan.project) if steps.leave else None,
    }


def _unwatched(model: Mapping[str, Any]) -> list[str]:
    """Services whose check the release switches off: Compose 2.26 fails to wait for those whose image has one."""
    checks = {name: part.get("healthcheck") or {} for name, part in model["services"].items()}
    return sorted(name for name, check in checks.items() if check.get("disable") or check.get("test") == ["NONE"])
