"""The machine's own network namespace: the guard table, and the outer end of a guest's cable.

Reached through a small container, so that being allowed to use Docker is enough, whatever the machine has installed.
"""

from __future__ import annotations

from deployctl.rehearsal import docker, firewall, images, naming


def set_up(client: str, image: str) -> None:
    """Put the guard around the client's rehearsal; injected faults are gone after it."""
    outside(["nft", "-f", "-"], image, given=firewall.guard_rules(client))


def remove(client: str) -> None:
    """Take the guard away. Without an image of the rehearsal there can be no guard either."""
    known = images.known("net")
    if known:
        table = naming.guard_table(client)
        outside(["nft", "-f", "-"], known[0], given=f"table inet {table}\ndelete table inet {table}\n")


def outside(argv: list[str], image: str, *, given: str | None = None) -> str:
    """Run a command in the machine's own network namespace, with the right to change it and no other."""
    limits = ["--rm", "-i", "--network", "host", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN"]
    return docker.run(["run", *limits, "--entrypoint", argv[0], image, *argv[1:]], given=given).stdout
