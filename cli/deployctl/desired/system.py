"""What all projects on a host share: the unit that loads our tables before Docker starts, and its loader."""

from __future__ import annotations

from deployctl.desired.model import File
from deployctl.desired.network import MARK
from deployctl.desired.paths import ETC

UNIT = "/etc/systemd/system/deployctl-network.service"
LOADER = "/usr/local/sbin/deployctl-network"

_UNIT = f"""# Written by deployctl. Loads {ETC}/network.d before Docker starts, and again after nftables.service flushed all rules.
[Unit]
Description=deployctl: which containers may connect
Wants=network-pre.target
After=network-pre.target nftables.service
Before=docker.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={LOADER}
ExecReload={LOADER}

[Install]
WantedBy=multi-user.target
"""

_LOADER = f"""#!/bin/sh
# Written by deployctl. Loads each project's table (each replaces itself at once), and tells Docker to let our mark pass.
set -eu
for file in {ETC}/network.d/*.nft; do
  [ ! -e "$file" ] || nft -f "$file"
done
iptables -w -N DOCKER-USER 2>/dev/null || true
iptables -w -C DOCKER-USER -m mark --mark {MARK}/{MARK} -j ACCEPT 2>/dev/null ||
  iptables -w -I DOCKER-USER 1 -m mark --mark {MARK}/{MARK} -j ACCEPT
"""


def system_files() -> dict[str, File]:
    """The files of ours that are no project's."""
    return {UNIT: File(_UNIT.encode()), LOADER: File(_LOADER.encode(), mode=0o755)}
