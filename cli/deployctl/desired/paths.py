"""Where our things lie on a host. Everything of ours is below these."""

ETC = "/etc/deployctl"
STATE = "/var/lib/deployctl"


def project_folder(project: str) -> str:
    """The Compose project, which an administrator may read and run by hand."""
    return f"{ETC}/{project}"


def network_file(project: str) -> str:
    """The project's nftables table."""
    return f"{ETC}/network.d/{project}.nft"


def record_file(project: str) -> str:
    """What is installed, and what was before."""
    return f"{STATE}/{project}/record.json"


def secrets_root(project: str) -> str:
    """The folder of all secrets, which only root opens; each service sees its own part of it."""
    return f"{STATE}/{project}/secrets"


def secrets_folder(project: str, service: str) -> str:
    """The folder that one service sees as /run/secrets."""
    return f"{secrets_root(project)}/{service}"
