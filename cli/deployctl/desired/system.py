"""What all products on a host share: a README, the unit that loads our tables before Docker starts, and its loader."""

from __future__ import annotations

from deployctl.desired.model import File
from deployctl.desired.network import MARK
from deployctl.desired.paths import ETC, STATE

UNIT = "/etc/systemd/system/deployctl-network.service"
DROP_IN = "/etc/systemd/system/nftables.service.d/deployctl.conf"
LOADER = "/usr/local/sbin/deployctl-network"

_UNIT = f"""# Written by deployctl: loads the tables of {ETC}/network.d before Docker starts.
[Unit]
Description=deployctl: flows between services
Documentation=file://{ETC}/README
DefaultDependencies=no
Requires=local-fs.target
After=local-fs.target nftables.service
Wants=network-pre.target
Before=network-pre.target docker.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={LOADER}
ExecReload={LOADER}

[Install]
WantedBy=multi-user.target
"""
_DROP_IN = f"""# Written by deployctl: nftables.service flushes every table. Ours is loaded again at once.
[Service]
ExecStartPost=-{LOADER}
ExecReload=-{LOADER}
"""
_LOADER = f"""#!/bin/sh
# Written by deployctl. Loads the table of every project in one transaction, then lets Docker accept what they let pass.
set -eu
set -- {ETC}/network.d/*.nft
[ -e "$1" ] || exit 0
cat "$@" | nft -f -
iptables -w -n -L DOCKER-USER >/dev/null 2>&1 || iptables -w -N DOCKER-USER
iptables -w -C DOCKER-USER -m mark --mark {MARK}/{MARK} -j ACCEPT 2>/dev/null ||
  iptables -w -I DOCKER-USER 1 -m mark --mark {MARK}/{MARK} -j ACCEPT
"""
_README = f"""\
deployctl put products on this host. Each has a folder here, named after it, with

  README         what runs, where its data lie, who may connect; how to look, stop and start, without deployctl
  compose.yaml   an ordinary Docker Compose project

Read them:  cat {ETC}/*/README

network.d holds what may connect, a file for each product; deployctl-network.service loads them before Docker starts.
{STATE} has a folder for each product: what is installed (record.json), who changes it (lock.json), secrets.
Nothing of ours runs beside the containers; deployctl itself is on another machine.

WHAT ALL PRODUCTS SHARE
  {UNIT}
  {DROP_IN}
  {LOADER}
  one rule in the iptables chain DOCKER-USER, which accepts what our tables let pass (mark {MARK})

AFTER THE LAST PRODUCT WAS REMOVED BY HAND (its README says how; as root)
  systemctl disable --now deployctl-network.service
  iptables -D DOCKER-USER -m mark --mark {MARK}/{MARK} -j ACCEPT
  rm {UNIT} {DROP_IN} {LOADER}
  rmdir --ignore-fail-on-non-empty {DROP_IN.rpartition("/")[0]}
  systemctl daemon-reload
  cat {STATE}/packages.json    if it is there: packages that came with us; `apt-get purge` those that nobody needs
  rm -r {ETC} {STATE}
"""


def system_files() -> dict[str, File]:
    """The files of ours that are no project's."""
    return {
        f"{ETC}/README": File(_README.encode()),
        UNIT: File(_UNIT.encode()),
        DROP_IN: File(_DROP_IN.encode()),
        LOADER: File(_LOADER.encode(), mode=0o755),
    }
