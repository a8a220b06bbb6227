"""Our key in OpenPGP's form, as the programs that apt asks read it."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from deploybundle import trust
from deploybundle.trust.openpgp import armored_key, clear_signed

TEXT = "Origin: deployctl\nSHA256:\n " + "0" * 64 + " 12 Packages\n"
READERS = {
    "gpgv": lambda key, signed: ["gpgv", "--keyring", str(key), str(signed)],
    "sqv": lambda key, signed: ["sqv", "--keyring", str(key), "--cleartext", str(signed)],
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("algorithm", ["p256", "ed25519"])
def test_the_hosts_own_programs_accept_what_we_sign_and_nothing_else(
    reader: str, algorithm: trust.Algorithm, tmp_path: Path
) -> None:
    if not shutil.which(reader):
        pytest.skip(f"no {reader} here")
    trust.generate(tmp_path / "key", None, algorithm)
    signer = trust.load_private(tmp_path / "key", None)
    signed, key = tmp_path / "InRelease", tmp_path / "key.pgp"
    key.write_bytes(_dearmored(armored_key(signer)))
    for text, accepted in ((clear_signed(TEXT, signer), True), (clear_signed(TEXT, signer).replace(b" 12 ", b" 13 "), False)):
        signed.write_bytes(text)
        done = subprocess.run(READERS[reader](key, signed), capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is accepted, done.stderr
    trust.generate(tmp_path / "other", None, algorithm)
    signed.write_bytes(clear_signed(TEXT, trust.load_private(tmp_path / "other", None)))
    assert subprocess.run(READERS[reader](key, signed), capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("algorithm", ["p256", "ed25519"])
def test_the_same_text_signed_again_is_the_same_file(algorithm: trust.Algorithm, tmp_path: Path) -> None:
    trust.generate(tmp_path / "key", None, algorithm)
    signer = trust.load_private(tmp_path / "key", None)
    assert clear_signed(TEXT, signer) == clear_signed(TEXT, signer)
    assert armored_key(signer) == armored_key(signer)


@pytest.mark.parametrize("text", ["- begins with a dash\n", "ends with a space \n"])
def test_a_text_that_would_need_escaping_is_not_signed(text: str, tmp_path: Path) -> None:
    trust.generate(tmp_path / "key", None)
    with pytest.raises(ValueError, match="escaped"):
        clear_signed(text, trust.load_private(tmp_path / "key", None))


def _dearmored(data: bytes) -> bytes:
    lines = data.decode().split("\n\n", 1)[1].splitlines()
    return base64.b64decode("".join(line for line in lines if not line.startswith(("=", "-"))))
