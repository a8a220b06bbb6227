"""What a site carries back: read as it was written, and nothing else is read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploybundle import trust
from deploybundle.open import Holds, Level, Receipt, ReceiptInvalid, Runs, read_receipt, write_receipt

INDEX = "sha256:" + "a" * 64
GIVEN = Receipt(
    "acme",
    "2026-11-21T10:00:00Z",
    (Holds("collector", "1.0.0", INDEX),),
    (Runs("collector", "1.0.0", INDEX, 4, 7, 7),),
    (INDEX,),
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> trust.Signer:
    path = tmp_path_factory.mktemp("site") / "receipt.key"
    trust.generate(path, None, "ed25519")
    return trust.load_private(path, None)


@pytest.mark.parametrize("level", ["full", "text"])
def test_a_receipt_is_read_as_it_was_written(signer: trust.Signer, tmp_path: Path, level: Level) -> None:
    path = tmp_path / "receipt"
    path.write_bytes(write_receipt(GIVEN, level, signer))
    found = read_receipt(path)
    blobs = GIVEN.blobs if level == "full" else ()
    assert found == Receipt(GIVEN.client, GIVEN.written, GIVEN.holds, GIVEN.runs, blobs, signer.public)


def test_the_page_is_read_by_a_person(signer: trust.Signer) -> None:
    page = write_receipt(GIVEN, "text", signer).decode().partition("-----")[0]
    assert page.splitlines() == [
        "deployctl receipt 1", "client: acme", "written: 2026-11-21T10:00:00Z", f"holds: collector 1.0.0 {INDEX}",
        f"runs: collector 1.0.0 {INDEX} on 4 hosts, 7 of 7 services healthy",
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["full", "text"])
def test_ssh_keygen_checks_it(signer: trust.Signer, tmp_path: Path, level: Level) -> None:
    payload, begin, rest = write_receipt(GIVEN, level, signer).partition(b"-----BEGIN")
    (tmp_path / "sig").write_bytes(begin + rest)
    command = ["ssh-keygen", "-Y", "check-novalidate", "-n", "deployctl-receipt", "-s", tmp_path / "sig"]
    assert subprocess.run(command, input=payload, capture_output=True).returncode == 0


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), level=st.sampled_from(["full", "text"]))
def test_a_changed_receipt_is_refused(signer: trust.Signer, tmp_path: Path, data: st.DataObject, level: Level) -> None:
    good = write_receipt(GIVEN, level, signer)
    at = data.draw(st.integers(0, len(good)))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 3)) :]
    (tmp_path / "receipt").write_bytes(bad)
    if bad != good:
        with pytest.raises(ReceiptInvalid):
            read_receipt(tmp_path / "receipt")


@pytest.mark.parametrize(
    "payload", [b"", b"{}\n", b"deployctl receipt 1\nclient: a b\n", b"[" * 9000, b"\xff\n", b"deployctl receipt 2\n\n\n"]
)
def test_what_is_signed_and_no_receipt_is_refused(signer: trust.Signer, tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "receipt"
    path.write_bytes(payload + trust.sshsig(payload, signer, "deployctl-receipt"))
    with pytest.raises(ReceiptInvalid):
        read_receipt(path)
    with pytest.raises(ReceiptInvalid, match="cannot be read"):
        read_receipt(tmp_path / "none")
