"""The two signatures over a bundle's index: DSSE for today's supply-chain tools, SSH's for a bare Debian.

Both are read by making them again from what they hold and comparing the bytes: another spelling is refused.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from deploybundle.trust import canonical
from deploybundle.trust.keys import PublicKey, Signer
from deploybundle.trust.problems import BadSignature, MissingSignature, UnknownSigner

NAMESPACE = "deployctl-bundle"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://deployctl.dev/bundle/v1"
_AGAIN = "get the bundle from the vendor again; nothing of it was used"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


@dataclass(frozen=True)
class Statement:
    """What the vendor states besides the digest: the release, when it was signed (UTC, ISO 8601), by what program."""

    name: str
    time: str
    builder: str


def dsse(index: bytes, signer: Signer, name: str, time: datetime, builder: str = "deployctl") -> bytes:
    """A DSSE envelope (secure-systems-lab/dsse, v1) over an in-toto statement v1 on the index's digest."""
    said = Statement(name, time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), builder)
    payload = canonical.dumps(_statement(index, said))
    return _envelope(payload, signer.public, signer.sign(_pae(payload)))


def _statement(index: bytes, said: Statement) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": said.name, "digest": {"sha256": hashlib.sha256(index).hexdigest()}}],
        "predicate": {"builder": said.builder, "time": said.time},
    }


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _envelope(payload: bytes, key: PublicKey, signature: bytes) -> bytes:
    return canonical.dumps(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key.fingerprint, "sig": base64.b64encode(signature).decode()}],
        }
    )


def verify_dsse(envelope: bytes, index: bytes, keys: Sequence[PublicKey], place: str = "") -> PublicKey:
    """The trusted key that signed this index. MissingSignature, UnknownSigner or BadSignature otherwise."""
    if not envelope:
        raise MissingSignature("the bundle has no DSSE signature", place=place, hint=_AGAIN)
    payload, signature, keyid = _open_envelope(envelope, place)
    key = _trusted(keyid, keys, place)
    if _envelope(payload, key, signature) != envelope or not key.verifies(_pae(payload), signature):
        raise BadSignature(f"the DSSE signature is not by its key {keyid}", place=place, hint=_AGAIN)
    _check_statement(payload, index, place)
    return key


def read_statement(envelope: bytes, place: str = "") -> Statement:
    """What an envelope states; proves nothing by itself."""
    payload, _, _ = _open_envelope(envelope, place)
    return _said(payload, place)


def _said(payload: bytes, place: str) -> Statement:
    try:
        said = canonical.loads(payload)
        predicate = said["predicate"]
        return Statement(str(said["subject"][0]["name"]), str(predicate["time"]), str(predicate["builder"]))
    except (ValueError, TypeError, LookupError) as error:
        raise BadSignature(f"the signed statement is not ours: {error!r}", place=place, hint=_AGAIN) from error


def _open_envelope(envelope: bytes, place: str) -> tuple[bytes, bytes, str]:
    try:
        value = canonical.loads(envelope)
        (signature,) = value["signatures"]
        return _unbase64(value["payload"]), _unbase64(signature["sig"]), str(signature["keyid"])
    except (ValueError, TypeError, LookupError) as error:
        raise BadSignature(f"the DSSE envelope cannot be read: {error!r}", place=place, hint=_AGAIN) from error


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)


def _trusted(fingerprint: str, keys: Sequence[PublicKey], place: str) -> PublicKey:
    for key in keys:
        if key.fingerprint == fingerprint:
            return key
    known = ", ".join(key.fingerprint for key in keys) or "none"
    raise UnknownSigner(
        f"signed by {fingerprint[:80]!r}, which is not trusted here; trusted: {known}",
        place=place,
        hint="compare the fingerprint with the vendor by another way; if it is his, trust his .pub file",
    )


def _check_statement(payload: bytes, index: bytes, place: str) -> None:
    said = _said(payload, place)
    expected = _statement(index, said)
    if canonical.dumps(expected) == payload:
        return
    signed, got = (_subject(each) for each in (canonical.loads(payload), expected))
    raise BadSignature(f"the index is not the one that was signed: expected {signed}, got {got}", place=place, hint=_AGAIN)


def _subject(statement: dict[str, Any]) -> str:
    """A statement's subject as a person reads it, whatever stands there."""
    try:
        return f"{statement['subject'][0]['name']} sha256:{statement['subject'][0]['digest']['sha256']}"[:400]
    except (LookupError, TypeError):
        return str(statement.get("subject"))[:400]


def sshsig(index: bytes, signer: Signer, namespace: str = NAMESPACE) -> bytes:
    """An armored SSH signature (OpenSSH's PROTOCOL.sshsig) over the index, for `ssh-keygen -Y verify`."""
    return _armor(signer.public, namespace, signer.sign(_ssh_payload(index, namespace)))


def _ssh_payload(index: bytes, namespace: str) -> bytes:
    return b"SSHSIG" + _strings(namespace.encode(), b"", b"sha512", hashlib.sha512(index).digest())


def _strings(*values: bytes) -> bytes:
    return b"".join(len(value).to_bytes(4, "big") + value for value in values)


def _armor(key: PublicKey, namespace: str, signature: bytes) -> bytes:
    inner = signature if key.algorithm == "ssh-ed25519" else _strings(*map(_mpint, decode_dss_signature(signature)))
    signed = _strings(key.algorithm.encode(), inner)
    blob = b"SSHSIG\0\0\0\1" + _strings(key.blob, namespace.encode(), b"", b"sha512", signed)
    return "\n".join([_BEGIN, *textwrap.wrap(base64.b64encode(blob).decode(), 70), _END, ""]).encode()


def _mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def verify_sshsig(
    armored: bytes, index: bytes, keys: Sequence[PublicKey], place: str = "", namespace: str = NAMESPACE
) -> PublicKey:
    """The trusted key that signed this index. MissingSignature, UnknownSigner or BadSignature otherwise."""
    if not armored:
        raise MissingSignature("the bundle has no SSH signature", place=place, hint=_AGAIN)
    try:
        public, signature = _open_armor(armored)
    except (ValueError, TypeError, LookupError) as error:
        raise BadSignature(f"the SSH signature cannot be read: {error}", place=place, hint=_AGAIN) from error
    key = _trusted(public.fingerprint, keys, place)
    if _armor(key, namespace, signature) != armored or not key.verifies(_ssh_payload(index, namespace), signature):
        raise BadSignature(f"the SSH signature is not of this index by {key.fingerprint}", place=place, hint=_AGAIN)
    return key


def sshsig_signer(armored: bytes) -> PublicKey:
    """The key that a signature says it is by; proves nothing by itself. BadSignature if there is none."""
    try:
        return _open_armor(armored)[0]
    except (ValueError, TypeError, LookupError) as error:
        raise BadSignature(f"the SSH signature cannot be read: {error}", hint=_AGAIN) from error


def _open_armor(armored: bytes) -> tuple[PublicKey, bytes]:
    begin, *lines, end, last = armored.decode("ascii").split("\n")
    blob = _unbase64("".join(lines))
    if (begin, end, last) != (_BEGIN, _END, "") or blob[:10] != b"SSHSIG\0\0\0\1":
        raise ValueError("not an armored SSH signature of version 1")
    public, _, _, _, signature = _unstrings(blob[10:])
    _, inner = _unstrings(signature)
    name, *_ = _unstrings(public)
    key = PublicKey.parse(name + b" " + base64.b64encode(public))
    return key, inner if key.algorithm == "ssh-ed25519" else _asn1(inner)


def _unstrings(data: bytes) -> list[bytes]:
    values: list[bytes] = []
    while data:
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size or len(values) > 8:
            raise ValueError("the strings of the SSH signature do not fit")
        values.append(data[4 : 4 + size])
        data = data[4 + size :]
    return values


def _asn1(inner: bytes) -> bytes:
    r, s = _unstrings(inner)
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
