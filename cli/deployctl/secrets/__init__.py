"""Secrets: backends behind one interface, and the type that prints as ***."""

from deployctl.secrets.ansible_vault import AnsibleVault, VaultPassword
from deployctl.secrets.backend import Backend, SecretMissing, WrongVaultPassword, load_secrets
from deployctl.secrets.generate import generate
from deployctl.secrets.value import Secret

__all__ = [
    "AnsibleVault", "Backend", "Secret", "SecretMissing", "VaultPassword", "WrongVaultPassword", "generate", "load_secrets",
]  # fmt: skip
