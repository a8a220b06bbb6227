"""What a secrets backend is, and how a release's secrets are taken from one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from deploybundle.errors import InputError
from deployctl.secrets.value import Secret


class SecretMissing(InputError):
    """The release needs a secret that the client's backend does not hold.

    `deployctl secrets generate --client CLIENT BUNDLE` makes what can be made. What only the client knows: `ansible-vault edit`
    of vault.yml.
    """

    code = "secret-missing"


class WrongVaultPassword(InputError):
    """The vault does not open with this password.

    Name the file that holds the password with `--vault-password-file`, or run it at a terminal and type it. If it is
    lost, nobody can open the vault: move it away and make the secrets anew.
    """

    code = "wrong-vault-password"


class Backend(Protocol):
    """Where a client's secrets lie."""

    place: str

    def read(self, product: str) -> Mapping[str, Secret]:
        """All secrets that it holds for a product, by name. Asked once a run."""
        ...


def load_secrets(backend: Backend, product: str, names: Iterable[str], generate: str) -> dict[str, Secret]:
    """The named secrets of a product. `generate` is the command that makes what is missing, for whom it is missing.

    Raises SecretMissing, naming all that are missing at once.
    """
    wanted = sorted(names)
    if not wanted:
        return {}
    held = backend.read(product)
    missing = [name for name in wanted if name not in held]
    if missing:
        raise SecretMissing(
            f"no value for {', '.join(missing)}",
            place=backend.place,
            hint=f"`{generate}` makes what can be made; `ansible-vault edit {backend.place}` sets one by hand",
        )
    return {name: held[name] for name in wanted}
