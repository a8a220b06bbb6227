"""What this machine's kernel must have room for: a rehearsal's machines share it."""

from __future__ import annotations

from pathlib import Path

from deployctl.rehearsal.topology import RehearsalImpossible, Topology

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
EACH = 7
"""inotify instances of a rehearsed machine: 5 by systemd, 1 by dbus, 1 by containerd; counted on Debian 13.

Without them the machine boots, but its units fail one after the other; all machines' root is one user to the kernel.
"""


def enough_instances(plan: Topology, file: Path = INSTANCES) -> None:
    """Raise RehearsalImpossible where the kernel would let only some of the machines watch their files."""
    limit = int(file.read_text()) if file.exists() else 0
    needed = EACH * sum(machine.kind in ("host", "deploy") for machine in plan.machines)
    if 0 < limit < needed:
        raise RehearsalImpossible(
            f"its {needed // EACH} machines need {needed} inotify instances, and the kernel here gives a user {limit}",
            place=str(plan.folder), hint=f"sysctl -w fs.inotify.max_user_instances={max(1024, 2 * needed)}",
        )  # fmt: skip
