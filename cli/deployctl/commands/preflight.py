"""deployctl preflight: is the site ready."""

from __future__ import annotations

from deployctl.apply import ready
from deployctl.commands import show
from deployctl.commands.options import INVENTORIES, Bundle, Client, Inventories, Json, PasswordFile
from deployctl.commands.plan import prepared_of
from deployctl.commands.verify import Key

NAME = "preflight"


def command(
    client: Client, bundle: Bundle = None, inventories: Inventories = INVENTORIES, key: Key = None,
    vault_password_file: PasswordFile = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Check all that an install needs of the hosts, in one list, each with its remedy. Changes nothing.

    Example: deployctl preflight --client acme collector-1.0.0.bundle.tar
    """
    prepared = prepared_of(client, bundle, inventories, key, vault_password_file)
    ready(prepared)
    if as_json:
        show.data({"ready": True, "hosts": [host.name for host in prepared.hosts], "bytes": prepared.plan.size})
        return
    show.out(f"ready: {len(prepared.hosts)} hosts, {show.size(prepared.plan.size)} of images to send")
