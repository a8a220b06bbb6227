"""Both signatures: accepted by the tools they are for, and in one spelling only."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploybundle import trust
from deploybundle.trust import signatures

INDEX = b'{"schemaVersion":2}'
TIME = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.fixture(params=["p256", "ed25519"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> trust.Signer:
    trust.generate(tmp_path / "vendor", None, request.param)
    return trust.load_private(tmp_path / "vendor", None)


@pytest.fixture(scope="module", params=["p256", "ed25519"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[trust.Signer, bytes, bytes]:
    path = tmp_path_factory.mktemp("keys") / "vendor"
    trust.generate(path, None, request.param)
    signer = trust.load_private(path, None)
    return signer, trust.dsse(INDEX, signer, "collector 1.0.0", TIME), trust.sshsig(INDEX, signer)


def test_ssh_keygen_accepts_the_ssh_signature(signer: trust.Signer, tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(trust.sshsig(INDEX, signer))
    (tmp_path / "allowed").write_text(f'vendor namespaces="deployctl-bundle" {signer.public.ssh_line}\n')
    command = shlex.split("ssh-keygen -Y verify -f allowed -I vendor -n deployctl-bundle -s sig")
    assert subprocess.run(command, cwd=tmp_path, input=INDEX, capture_output=True).returncode == 0
    assert subprocess.run(command, cwd=tmp_path, input=INDEX + b" ", capture_output=True).returncode != 0


def test_the_envelope_states_digest_name_and_time(signer: trust.Signer) -> None:
    envelope = trust.dsse(INDEX, signer, "collector 1.0.0", TIME, "deployctl 0.1.0")
    assert trust.verify_dsse(envelope, INDEX, [signer.public]) == signer.public
    said = trust.Statement("collector 1.0.0", "2026-11-21T10:00:00Z", "deployctl 0.1.0")
    assert trust.read_statement(envelope) == said
    payload = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    assert payload["_type"] == "https://in-toto.io/Statement/v1"


def test_openssl_would_verify_the_envelope(signer: trust.Signer, tmp_path: Path) -> None:
    """cosign checks this: the PAE, the key as PEM, the signature as ASN.1."""
    envelope = json.loads(trust.dsse(INDEX, signer, "collector 1.0.0", TIME))
    payload = base64.b64decode(envelope["payload"])
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    for name, data in {"key": signer.public.pem, "pae": pae, "sig": signature}.items():
        (tmp_path / name).write_bytes(data)
    ask = {"ssh-ed25519": "pkeyutl -verify -pubin -inkey key -rawin -in pae -sigfile sig"}
    command = ask.get(signer.public.algorithm, "dgst -sha256 -verify key -signature sig pae").split()
    subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)


def test_another_index_key_or_no_signature_is_refused(signer: trust.Signer, tmp_path: Path) -> None:
    envelope, armored = trust.dsse(INDEX, signer, "collector 1.0.0", TIME), trust.sshsig(INDEX, signer)
    stranger = trust.generate(tmp_path / "stranger", None)
    for verify, signature in [(trust.verify_dsse, envelope), (trust.verify_sshsig, armored)]:
        with pytest.raises(trust.BadSignature):
            verify(signature, INDEX + b" ", [signer.public])
        with pytest.raises(trust.UnknownSigner, match=signer.public.fingerprint.replace("+", r"\+")):
            verify(signature, INDEX, [stranger])
        with pytest.raises(trust.UnknownSigner, match="trusted: none"):
            verify(signature, INDEX, [])
        with pytest.raises(trust.MissingSignature):
            verify(b"", INDEX, [signer.public])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_other_spelling_is_refused(signed: tuple[trust.Signer, bytes, bytes], data: st.DataObject) -> None:
    signer, envelope, armored = signed
    verify, good = data.draw(st.sampled_from([(trust.verify_dsse, envelope), (trust.verify_sshsig, armored)]))
    at = data.draw(st.integers(0, len(good)))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 3)) :]
    if bad != good:
        with pytest.raises(trust.SignatureProblem):
            verify(bad, INDEX, [signer.public])


@given(st.binary(max_size=300))
def test_no_bytes_break_the_readers_of_signatures(junk: bytes) -> None:
    for verify in (trust.verify_dsse, trust.verify_sshsig):
        with pytest.raises(trust.SignatureProblem):
            verify(junk, INDEX, [])


@pytest.mark.parametrize("payload", [b"[]", b'{"subject":[]}', b"[" * 100_000, b"\xff", b'{"predicate":{},"subject":1}'])
def test_a_signed_statement_that_is_not_ours_is_refused(signer: trust.Signer, payload: bytes) -> None:
    envelope = signatures._envelope(payload, signer.public, signer.sign(signatures._pae(payload)))
    with pytest.raises(trust.BadSignature):
        trust.verify_dsse(envelope, INDEX, [signer.public])
