"""Keys as OpenSSH knows them, and protected."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from deploybundle import trust
from deploybundle.trust import words
from deploybundle.trust.keys import P256_ORDER

ALGORITHMS = ["p256", "ed25519"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path, algorithm: trust.Algorithm) -> None:
    key = trust.generate(tmp_path / "vendor", None, algorithm)
    ask = ["ssh-keygen", "-lf", tmp_path / "vendor.pub"]
    shown = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] == key.fingerprint


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_key_pair_is_loaded_again(tmp_path: Path, algorithm: trust.Algorithm, passphrase: bytes | None) -> None:
    key = trust.generate(tmp_path / "keys" / "vendor", passphrase, algorithm)
    signer = trust.load_private(tmp_path / "keys" / "vendor", passphrase)
    assert signer.public == key == trust.PublicKey.load(tmp_path / "keys" / "vendor.pub")
    assert key.verifies(b"payload", signer.sign(b"payload"))
    assert not key.verifies(b"another", signer.sign(b"payload"))
    (tmp_path / "vendor.pem").write_bytes(key.pem)
    assert trust.PublicKey.load(tmp_path / "vendor.pem") == key


def test_the_high_spelling_of_a_p256_signature_is_refused(tmp_path: Path) -> None:
    key = trust.generate(tmp_path / "vendor", None)
    r, s = decode_dss_signature(trust.load_private(tmp_path / "vendor", None).sign(b"payload"))
    assert key.verifies(b"payload", encode_dss_signature(r, s))
    assert not key.verifies(b"payload", encode_dss_signature(r, P256_ORDER - s))


def test_an_open_private_key_is_refused_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "vendor"
    trust.generate(path, None)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(trust.KeyTooOpen, match="0640; expected 0600") as caught:
        trust.load_private(path, None)
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("passphrase", [None, b"wrong"])
def test_a_missing_or_wrong_passphrase_is_named(tmp_path: Path, passphrase: bytes | None) -> None:
    trust.generate(tmp_path / "vendor", b"right")
    with pytest.raises(trust.PassphraseWrong):
        trust.load_private(tmp_path / "vendor", passphrase)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    trust.generate(tmp_path / "vendor", None)
    with pytest.raises(trust.KeyExists):
        trust.generate(tmp_path / "vendor", None)


@pytest.mark.parametrize("text", ["", "ssh-rsa AAAA", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "\x00"])
def test_what_is_no_key_of_ours_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.pub").write_text(text)
    with pytest.raises(trust.KeyProblem, match="x.pub"):
        trust.PublicKey.load(tmp_path / "x.pub")
    with pytest.raises(trust.KeyProblem):
        trust.load_private(tmp_path / "none", None)


def test_a_fingerprint_is_sixteen_words_of_256_different_ones() -> None:
    assert len(set(words._WORDS)) == 256
    assert words.spell(bytes([0, 255] + [1] * 30)) == ("acorn", "turtle", *["actor"] * 14)


def test_trusted_keys_are_the_files_of_a_folder(tmp_path: Path) -> None:
    key = trust.generate(tmp_path / "vendor", None)
    assert trust.load_trust(tmp_path / "none").keys == ()
    trust.add_trusted(key, "acme", tmp_path / "trusted")
    assert trust.load_trust(tmp_path / "trusted").keys == (key,)
