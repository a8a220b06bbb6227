"""What preflight may find on a host. Each is told with the others, in one PreflightFailed."""

from __future__ import annotations

from collections.abc import Sequence

from deploybundle.errors import DeployctlError, SiteError


class PreflightFailed(SiteError):
    """The site is not ready; each line is one thing to mend.

    Each line has a code of its own and a remedy. Nothing was changed. Mend them and run the command again.
    """

    code = "preflight-failed"

    def __init__(self, problems: Sequence[DeployctlError]) -> None:
        super().__init__(f"{len(problems)} to mend before anything changes", problems=problems)


class EngineTooOld(SiteError):
    """The host's Docker engine is older than 20.10.

    Upgrade the engine there. deployctl never replaces one: other projects may depend on it.
    """

    code = "host-engine-too-old"


class EngineRulesGone(SiteError):
    """Docker's own iptables rules are gone from the host, as after `nft flush ruleset`.

    What runs goes on, and our own table is back or asked for apart. Docker makes no network until it is restarted there:
    `systemctl restart docker`. Its containers stop for a moment.
    """

    code = "engine-rules-gone"


class HostComposeMissing(SiteError):
    """The host has no `docker compose`.

    `apt-get install docker-compose` on Debian 13; `docker-compose-plugin` where the engine is Docker's own package.
    """

    code = "host-compose-missing"


class HostComposeTooOld(SiteError):
    """The host's Compose is older than 2.18.

    Upgrade docker-compose, or docker-compose-plugin, there.
    """

    code = "host-compose-too-old"


class HostPythonTooOld(SiteError):
    """The host's Python is older than 3.9.

    Upgrade python3 there; Debian 11 and later have a newer one.
    """

    code = "host-python-too-old"


class HostToolMissing(SiteError):
    """The host lacks a program that isolation needs: nftables or iptables.

    Install the package that is named: `apt-get install nftables iptables`.
    """

    code = "host-tool-missing"


class HostArchitecture(SiteError):
    """An image is for another processor than the host has.

    The vendor builds the bundle for this processor; or place the service on a host that fits.
    """

    code = "host-architecture"


class HostDisk(SiteError):
    """The host's disk has too little room for what would be written.

    Free the space that is named, in the folder that is named. `docker image prune` removes images that nothing uses.
    """

    code = "host-disk"


class HostMemory(SiteError):
    """The host has less memory than its services may use.

    Give the machine more, or lower `resources` in client.yml.
    """

    code = "host-memory"


class PortTaken(SiteError):
    """Something else listens on a port of the host that a service needs.

    `ss -lptn` on the host shows what it is. Stop it, or choose another port in client.yml: `ports: {nginx: {8443: 443}}`.
    """

    code = "port-taken"


class PoolTaken(SiteError):
    """The addresses that we would give to containers are in use at the client.

    Choose a range that is free there, in client.yml: `pool: 172.31.0.0/20`.
    """

    code = "pool-taken"


class ClockSkewed(SiteError):
    """The host's clock and this machine's differ by more than 30 seconds.

    Set the clock of the one that is wrong, best by NTP: certificates, tokens and logs depend on it.
    """

    code = "clock-skewed"
