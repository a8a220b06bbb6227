"""Ansible Vault as the backend: the real one, both ways."""

from __future__ import annotations

import stat
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployctl.secrets import AnsibleVault, Secret, SecretMissing, VaultPassword, WrongVaultPassword, load_secrets
from deployctl.secrets.ansible_vault import VaultInvalid
from deployctl.site.view import VAULT_HEADER

CANARY = "canary-5f2a"


@pytest.fixture
def password(tmp_path: Path) -> VaultPassword:
    (tmp_path / "password").write_text("correct horse\n")
    return VaultPassword(file=tmp_path / "password")


@pytest.fixture
def vault(tmp_path: Path, password: VaultPassword) -> AnsibleVault:
    """A client's vault that is not there yet."""
    return AnsibleVault(tmp_path / "group_vars" / "vault.yml", password)


class Shelf:
    """Another backend, as one that needs no file would be."""

    place = "the shelf"

    def __init__(self, **secrets: str) -> None:
        self.secrets, self.asked = secrets, 0

    def read(self, product: str) -> Mapping[str, Secret]:
        """What lies on it."""
        self.asked += 1
        return {name: Secret(value) for name, value in self.secrets.items()}


def test_what_is_written_is_encrypted_for_its_owner_only_and_read_again(vault: AnsibleVault, password: VaultPassword) -> None:
    vault.add("shop", {"pw": Secret(CANARY), "key": Secret("two\nlines: [\n")})
    assert vault.path.read_bytes().startswith(VAULT_HEADER)
    assert CANARY.encode() not in vault.path.read_bytes()
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600
    assert list(vault.path.parent.iterdir()) == [vault.path]
    assert {name: secret.reveal() for name, secret in vault.read("shop").items()} == {"pw": CANARY, "key": "two\nlines: [\n"}
    typed = AnsibleVault(vault.path, VaultPassword(word=Secret("correct horse")))
    assert typed.read("shop")["pw"].reveal() == CANARY


def test_a_typed_password_lies_in_a_file_no_longer_than_it_is_needed() -> None:
    with VaultPassword(word=Secret(CANARY)).as_file() as file:
        assert file.read_text() == CANARY
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not file.exists()


def test_no_vault_holds_nothing_and_needs_no_password(tmp_path: Path) -> None:
    assert AnsibleVault(tmp_path / "vault.yml", VaultPassword()).read("shop") == {}


def test_a_wrong_password_is_told_as_such_and_changes_nothing(vault: AnsibleVault, tmp_path: Path) -> None:
    vault.add("shop", {"pw": Secret(CANARY)})
    with pytest.raises(WrongVaultPassword) as caught:
        AnsibleVault(vault.path, VaultPassword(word=Secret("wrong"))).read("shop")
    assert str(caught.value) == f"{vault.path}: the vault password does not open it"
    assert caught.value.hint == "--vault-password-file, or type it again"
    assert vault.read("shop")["pw"].reveal() == CANARY


def test_no_password_is_told_before_ansible_is_asked(vault: AnsibleVault) -> None:
    vault.add("shop", {"pw": Secret(CANARY)})
    with pytest.raises(WrongVaultPassword, match="no vault password was given") as caught:
        AnsibleVault(vault.path, VaultPassword()).read("shop")
    assert caught.value.hint == "--vault-password-file, or run it at a terminal"


def test_a_password_file_that_is_not_there_is_named(vault: AnsibleVault, tmp_path: Path) -> None:
    vault.add("shop", {"pw": Secret(CANARY)})
    with pytest.raises(VaultInvalid, match="/nowhere/password"):
        AnsibleVault(vault.path, VaultPassword(file=Path("/nowhere/password"))).read("shop")


def test_a_plain_vault_is_not_read(vault: AnsibleVault) -> None:
    vault.path.parent.mkdir()
    vault.path.write_text(f"pw: {CANARY}")
    with pytest.raises(VaultInvalid, match="is not encrypted") as caught:
        vault.read("shop")
    assert caught.value.hint == f"encrypt it: ansible-vault encrypt {vault.path}"


def test_a_damaged_vault_is_refused(vault: AnsibleVault) -> None:
    vault.path.parent.mkdir()
    vault.path.write_bytes(VAULT_HEADER + b"1.1;AES256\nnot hexadecimal\n")
    with pytest.raises((VaultInvalid, WrongVaultPassword), match=str(vault.path)):
        vault.read("shop")


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (f"pw: 12345\nother: {CANARY}", "expected names with texts"),
        (f"- {CANARY}", "expected names with texts"),
        ("", "expected names with texts"),
        (f"pw: {CANARY}\n\tother: {CANARY}", "is not YAML inside, at line 2"),
        (f"a: b\npw: '{CANARY}", "is not YAML inside, at line 2"),
        (f"pw: {CANARY}\x07", "is not YAML inside"),
    ],
)
def test_what_lies_inside_and_is_no_secret_is_refused_without_being_shown(
    inside: str, says: str, vault: AnsibleVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.path.parent.mkdir()
    vault.path.write_bytes(vault._vault(["encrypt", "--output", "-", "-"], inside.encode()))
    with pytest.raises(VaultInvalid, match=says) as caught:
        vault.read("shop")
    assert CANARY not in str(caught.value) + caught.value.hint
    assert CANARY not in "".join(traceback.format_exception(caught.value))


GENERATE = "deployctl secrets generate --client acme shop.tar"


def test_all_missing_secrets_are_named_at_once() -> None:
    with pytest.raises(SecretMissing) as caught:
        load_secrets(Shelf(there=CANARY), "shop", ["there", "pw", "key"], GENERATE)
    assert str(caught.value) == "the shelf: no value for key, pw"
    assert caught.value.hint.startswith(f"`{GENERATE}` makes")


def test_only_what_is_needed_is_taken_and_nothing_is_asked_when_nothing_is() -> None:
    shelf = Shelf(pw=CANARY, more=CANARY)
    assert load_secrets(shelf, "shop", ["pw"], GENERATE).keys() == {"pw"}
    assert load_secrets(shelf, "shop", [], GENERATE) == {}
    assert shelf.asked == 1


def test_secrets_of_one_name_are_each_product_s_own_and_those_at_the_top_are_for_the_rest(vault: AnsibleVault) -> None:
    vault.path.parent.mkdir()
    vault.path.write_bytes(vault._vault(["encrypt", "--output", "-", "-"], b"pw: of-all\nother: of-all"))
    vault.add("shop", {"pw": Secret("of-shop")})
    vault.add("books", {"key": Secret("of-books")})
    read = {name: {key: each.reveal() for key, each in vault.read(name).items()} for name in ("shop", "books")}
    assert read["shop"] == {"pw": "of-shop", "other": "of-all"}
    assert read["books"] == {"pw": "of-all", "other": "of-all", "key": "of-books"}
    assert vault.own("shop").keys() == {"pw"}
    with pytest.raises(VaultInvalid, match="other: expected the product's secrets below its name"):
        vault.add("other", {"pw": Secret("x")})


def test_an_empty_password_is_told_without_ansible_s_words(vault: AnsibleVault) -> None:
    with pytest.raises(WrongVaultPassword, match="the vault password is empty"):
        AnsibleVault(vault.path, VaultPassword(word=Secret(""))).add("shop", {"pw": Secret(CANARY)})
    assert not vault.path.exists()
