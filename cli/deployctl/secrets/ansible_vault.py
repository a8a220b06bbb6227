"""Secrets in group_vars/all/vault.yml, encrypted by Ansible Vault: the default that needs no server."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploybundle.errors import InputError
from deployctl.secrets.backend import WrongVaultPassword
from deployctl.secrets.value import Secret
from deployctl.site import ansible_environment, ansible_program


class VaultInvalid(InputError):
    """vault.yml is not a vault of names and texts.

    `ansible-vault edit` the file: names with texts, one a line, quoted where they look like numbers.
    """

    code = "vault-invalid"


@dataclass(frozen=True)
class VaultPassword:
    """The vault's password: a file that holds it, or the word itself (typed at a prompt)."""

    file: Path | None = None
    word: Secret | None = None

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """A file that holds it, for as long as Ansible reads it; in memory where the system can."""
        if self.file is not None:
            yield self.file
            return
        if self.word is None:
            raise WrongVaultPassword("no vault password was given", hint="--vault-password-file, or run it at a terminal")
        with tempfile.NamedTemporaryFile("w", dir=_memory_dir(), prefix="deployctl-") as file:
            file.write(self.word.reveal())
            file.flush()
            yield Path(file.name)


class AnsibleVault:
    """The secrets of one vault file: below each product's name its own; those at the top are for all that have none of
    that name."""

    def __init__(self, path: Path, password: VaultPassword) -> None:
        self.path, self.password, self.place = path, password, str(path)

    def read(self, product: str) -> Mapping[str, Secret]:
        """All secrets for a product; none where there is no file.

        Raises WrongVaultPassword or VaultInvalid.
        """
        content = self._content()
        return {**_secrets(content), **_secrets(content.get(product))}

    def own(self, product: str) -> Mapping[str, Secret]:
        """Those that stand below the product's own name."""
        return _secrets(self._content().get(product))

    def add(self, product: str, secrets: Mapping[str, Secret]) -> None:
        """Put secrets below the product's name; all else in the file stays. It is replaced whole."""
        content = self._content()
        if isinstance(content.get(product), str):
            raise VaultInvalid(f"{product}: expected the product's secrets below its name, got a text", place=self.place)
        content[product] = {**content.get(product, {}), **{name: secret.reveal() for name, secret in secrets.items()}}
        beside = self.path.with_name(self.path.name + ".new")
        beside.parent.mkdir(parents=True, exist_ok=True)
        self._vault(["encrypt", "--output", str(beside), "-"], yaml.safe_dump(content).encode())
        beside.chmod(0o600)
        beside.replace(self.path)

    def _content(self) -> dict[str, Any]:
        return _parse(self._decrypt(), self.place) if self.path.exists() else {}

    def _decrypt(self) -> str:
        text = self.path.read_bytes()
        if not text.startswith(b"$ANSIBLE_VAULT;"):
            hint = f"encrypt it: ansible-vault encrypt {self.path}"
            raise VaultInvalid("is not encrypted; no secret is read from a plain file", place=self.place, hint=hint)
        return self._vault(["decrypt", "--output", "-", "-"], text).decode()

    def _vault(self, arguments: list[str], given: bytes) -> bytes:
        with self.password.as_file() as file:
            done = subprocess.run(
                [*ansible_program("ansible-vault"), *arguments, "--vault-password-file", str(file)],
                input=given, capture_output=True, check=False, env=ansible_environment(),
            )  # fmt: skip
        if done.returncode != 0:
            raise _refusal(done.stderr.decode(errors="replace"), self.place)
        return done.stdout


def _refusal(said: str, place: str) -> InputError:
    if "Decryption failed" in said or "no vault secrets" in said:
        return WrongVaultPassword(
            "the vault password does not open it", place=place, hint="--vault-password-file, or type it again"
        )
    if "Invalid vault password was provided" in said:  # of an empty file, which may be one of ours that nobody knows
        return WrongVaultPassword("the vault password is empty", place=place, hint="--vault-password-file, or type it again")
    return VaultInvalid(f"Ansible Vault says: {' '.join(said.split())}", place=place)


def _parse(text: str, place: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)  # the error's own words would show the line, with its secret
        where = f", at line {mark.line + 1}" if mark else ""
        raise VaultInvalid(f"is not YAML inside{where}", place=place, hint=f"ansible-vault edit {place}") from None
    if not isinstance(content, dict) or not all(_is_ours(value) for value in content.values()):
        hint = "below a product's name stand its secrets; quote values that look like numbers"
        raise VaultInvalid("expected names with texts", place=place, hint=hint)
    return {str(name): value for name, value in content.items()}


def _is_ours(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and all(isinstance(each, str) for each in value.values()))


def _secrets(content: Any) -> dict[str, Secret]:
    """The texts of one part of the file."""
    named = content.items() if isinstance(content, dict) else ()
    return {str(name): Secret(value) for name, value in named if isinstance(value, str)}


def _memory_dir() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 — memory, not a shared folder of files
