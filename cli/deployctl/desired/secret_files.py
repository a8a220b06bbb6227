"""Secrets as a folder that one service sees: a version's folder, a link `..data` to it, and a link for each secret.

A file that is mounted alone keeps its old content for ever (the mount holds the inode); a folder with links that are
swapped shows a rotated secret at once. Kubernetes' atomic writer has the same layout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from deploybundle.errors import InputError
from deploybundle.release import Release
from deployctl.desired.model import File
from deployctl.desired.paths import secrets_folder, secrets_root
from deployctl.secrets import Secret

SCRYPT = {"n": 2**14, "r": 8, "p": 1, "maxmem": 2**26}
"""A version's name must tell a changed secret from an unchanged one without helping to guess it (RFC 7914, 2.)."""


class SecretTarget(InputError):
    """A service wants a secret at a place that we do not serve.

    The vendor gives the secret a plain file name as target, below /run/secrets.
    """

    code = "secret-target"


def secret_version(secrets: Mapping[str, Secret], salt: str) -> str:
    """A name for these values together: 12 hex digits, slow to try values against."""
    text = "\0".join(f"{name}\0{secret.reveal()}" for name, secret in sorted(secrets.items()))
    return hashlib.scrypt(text.encode(), salt=salt.encode(), dklen=6, **SCRYPT).hex()


def secret_targets(release: Release, service: str) -> dict[str, str]:
    """File name below /run/secrets -> the secret's name.

    Raises SecretTarget for a target elsewhere.
    """
    found = {}
    for use in release.services[service].compose.get("secrets") or []:
        name = use if isinstance(use, str) else use["source"]
        target = (name if isinstance(use, str) else use.get("target") or name).removeprefix("/run/secrets/")
        if "/" in target or target.startswith(".."):
            place = f"services.{service}.secrets"
            raise SecretTarget(f'target "{target}" lies outside /run/secrets', place=place, hint="give a plain file name")
        found[target] = name
    return found


def secret_files(release: Release, service: str, secrets: Mapping[str, Secret], client: str) -> tuple[dict[str, File], str]:
    """The files of one service's secrets, and their version."""
    targets = secret_targets(release, service)
    if not targets:
        return {}, ""
    folder, (uid, gid) = secrets_folder(release.name, service), _owner(release.services[service].user)
    version = secret_version({target: secrets[name] for target, name in targets.items()}, f"{client}/{release.name}/{service}")
    files = {secrets_root(release.name): File(mode=0o700, folder=True), f"{folder}/..data": File(link=f"..{version}")}
    for target, name in targets.items():
        content = secrets[name].reveal().encode()
        files[f"{folder}/..{version}/{target}"] = File(content, mode=0o400, uid=uid, gid=gid, secret=True)
        files[f"{folder}/{target}"] = File(link=f"..data/{target}")
    return files, version


def _owner(user: str | None) -> tuple[int, int]:
    """The numbers of a service's user; the release was refused if they are none."""
    uid, _, gid = (user or "0").partition(":")
    return int(uid), int(gid or uid)
