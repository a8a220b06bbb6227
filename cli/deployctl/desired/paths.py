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


def purpose(path: str, project: str) -> str:
    """Why a file of ours is there, in words for the administrator of its host."""
    for begin, words in (
        (f"{project_folder(project)}/compose.yaml", "the Compose project: what runs here"),
        (f"{project_folder(project)}/README", "how to live with it, and without deployctl"),
        (f"{project_folder(project)}/", "configuration that a service mounts"),
        (network_file(project), "who may connect: the product's nftables table"),
        (f"{secrets_root(project)}", "a secret that one service reads"),
        (f"{STATE}/{project}/", "what is installed, and who changes it"),
        (f"{ETC}/README", "what all of this is"),
        ("/etc/systemd/system/", "loads the tables before Docker, and again after nftables.service"),
        ("/usr/local/sbin/", "what the unit runs"),
    ):
        if path.startswith(begin):
            return words
    return "ours"
