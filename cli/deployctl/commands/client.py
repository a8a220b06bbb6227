"""deployctl client new: a client's inventory, commented, that validates."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from deploybundle.errors import InputError
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Inventories
from deployctl.site import load_site

app = typer.Typer()
HOSTS = """\
# Which machines there are, in Ansible's own words. A group is a segment: a network zone with a firewall around it.
all:
  vars:
    ansible_user: ops                      # may log in with a key, and use sudo without a password
    # ansible_ssh_common_args: -J bastion  # where hosts are reached through a jump host
  children:
    server:                                # the segments' names are yours; the release says which it expects
      hosts:
        srv1: {ansible_host: 10.79.10.11}
    management:                            # the deploy node, where deployctl runs; no service runs there
      hosts:
        deploy: {ansible_host: 10.79.40.10, ansible_connection: local}
"""
CLIENT = """\
# What the release asks of this client. Everything is optional; docs/reference/client.md has all keys.
title: TITLE
networks:                                  # networks outside the site, by the names that the release's flows use
  clients: {cidr: [10.79.50.0/24]}
# externals:                               # machines outside that a service may reach
#   crm: {address: 10.79.60.5}
# place: {postgres: srv1}                  # a service to another segment or host than the release expects
# settings: {LOG_LEVEL: info}              # answers to the ${NAME} of the Compose file
# profiles: []                             # Compose profiles that run here
# ports: {nginx: {8443: 443}}              # another port at the host
# resources: {api: {memory: 512m, cpus: 1}}
# pool: 172.30.0.0/16                      # addresses for containers; each product takes a /20 of it that nobody uses
# products: {other: {ports: {web: {8080: 8081}}}}   # the same keys for one product, where the site has several
"""


class ClientExists(InputError):
    """There is an inventory of that name.

    Edit what is there, or choose another name.
    """

    code = "client-exists"


class ClientName(InputError):
    """Not a name for a client.

    Lower-case letters, digits and hyphens, 31 at most.
    """

    code = "client-name"


@app.callback()
def _group() -> None:
    """A client's inventory."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")], inventories: Inventories = INVENTORIES
) -> None:
    """Write a commented inventory to start from.

    Example: deployctl client new acme
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise ClientName(
            f'"{name}" is no name for a client', hint="expected lower-case letters, digits and hyphens, at most 31"
        )
    folder = inventories / name
    if folder.exists():
        raise ClientExists("exists already; nothing was written", place=str(folder))
    (folder / "group_vars" / "all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS)
    (folder / "group_vars" / "all" / "client.yml").write_text(CLIENT.replace("TITLE", name, 1))
    site = load_site(folder.absolute())
    show.say(f"wrote {folder}/hosts.yml and group_vars/all/client.yml: put in the client's machines")
    show.say("then: deployctl trust add VENDOR.pub, after comparing its fingerprint")
    for step in (("trust hosts",), ("secrets generate", "BUNDLE"), ("install", "BUNDLE")):
        show.say(f"then: {site.command(*step)}")
