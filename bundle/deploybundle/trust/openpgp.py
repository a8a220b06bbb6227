"""OpenPGP, as much of it as an apt repository needs: our key in its form, and a text signed in clear.

The same key that signs bundles signs here, through the same `Signer`: no second key, and no gpg on the vendor's machine.
Packets are of version 4 (RFC 4880 and RFC 9580; ECDSA: RFC 6637). Times are fixed, so that the same text is the same
file; a signer that is not deterministic (some tokens are not) makes another one each time.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from deploybundle.trust.keys import PublicKey, Signer

WHO = "deployctl packages"
MADE = 1577836800
"""2020-01-01, for keys and signatures: before any host's clock, since gpgv and sqv refuse what is signed in the future."""

_ECDSA, _EDDSA, _SHA256 = 19, 22, 8
_P256_OID, _ED25519_OID = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2b06010401da470f01")
_TEXT, _SELF = 0x01, 0x13
_MAY_SIGN = 0x03  # certify and sign (RFC 4880, 5.2.3.21)


def armored_key(signer: Signer) -> bytes:
    """The signer's public key with a name, certified by itself: what `Signed-By` of an apt source names."""
    body, name = _key_body(signer.public), WHO.encode()
    whole = b"\x99" + len(body).to_bytes(2, "big") + body + b"\xb4" + len(name).to_bytes(4, "big") + name
    packets = _packet(6, body) + _packet(13, name) + _signature(signer, _SELF, whole, flags=True)
    return _armor("PUBLIC KEY BLOCK", packets)


def clear_signed(text: str, signer: Signer) -> bytes:
    """The text with its signature, as apt's InRelease has it. No line may begin with "-" or end with a space."""
    lines = text.rstrip("\n").split("\n")
    if any(line.startswith("-") or line != line.rstrip() for line in lines):
        raise ValueError("a line that would have to be escaped")
    signature = _armor("SIGNATURE", _signature(signer, _TEXT, "\r\n".join(lines).encode()))
    head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
    return head.encode() + "\n".join(lines).encode() + b"\n" + signature


def _key_body(key: PublicKey) -> bytes:
    """A public key packet's content (RFC 4880, 5.5.2; RFC 6637, 9)."""
    if key.algorithm == "ssh-ed25519":
        number, oid, point = _EDDSA, _ED25519_OID, b"\x40" + key.blob[-32:]
    else:
        number, oid, point = _ECDSA, _P256_OID, key.blob[-65:]
    return b"\x04" + MADE.to_bytes(4, "big") + bytes([number, len(oid)]) + oid + _number(point)


def _signature(signer: Signer, kind: int, data: bytes, *, flags: bool = False) -> bytes:
    """A signature packet over `data` (RFC 4880, 5.2.3)."""
    fingerprint = hashlib.sha1(_whole(signer.public), usedforsecurity=False).digest()
    hashed = _field(2, MADE.to_bytes(4, "big")) + _field(33, b"\x04" + fingerprint)
    hashed += _field(27, bytes([_MAY_SIGN])) if flags else b""
    eddsa = signer.public.algorithm == "ssh-ed25519"
    head = bytes([4, kind, _EDDSA if eddsa else _ECDSA, _SHA256]) + len(hashed).to_bytes(2, "big") + hashed
    signed = data + head + b"\x04\xff" + len(head).to_bytes(4, "big")
    digest = hashlib.sha256(signed).digest()
    numbers = _eddsa(signer.sign(digest)) if eddsa else _ecdsa(signer.sign(signed))
    unhashed = _field(16, fingerprint[-8:])
    return _packet(2, head + len(unhashed).to_bytes(2, "big") + unhashed + digest[:2] + numbers)


def _whole(key: PublicKey) -> bytes:
    body = _key_body(key)
    return b"\x99" + len(body).to_bytes(2, "big") + body


def _eddsa(signature: bytes) -> bytes:
    return _number(signature[:32]) + _number(signature[32:])


def _ecdsa(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return _number(r.to_bytes(32, "big")) + _number(s.to_bytes(32, "big"))


def _number(data: bytes) -> bytes:
    """A multiprecision integer: its bits, then its bytes without leading zeros."""
    data = data.lstrip(b"\0")
    return int.from_bytes(data, "big").bit_length().to_bytes(2, "big") + data


def _field(kind: int, content: bytes) -> bytes:
    return bytes([len(content) + 1, kind]) + content


def _packet(tag: int, content: bytes) -> bytes:
    """A packet with a length of four bytes, in the newer format."""
    return bytes([0xC0 | tag, 0xFF]) + len(content).to_bytes(4, "big") + content


def _armor(what: str, data: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(data).decode(), 64)
    check = base64.b64encode(_crc24(data).to_bytes(3, "big")).decode()
    return "\n".join([f"-----BEGIN PGP {what}-----", "", *lines, f"={check}", f"-----END PGP {what}-----", ""]).encode()


def _crc24(data: bytes) -> int:
    """The checksum of an armor (RFC 4880, 6.1)."""
    found = 0xB704CE
    for byte in data:
        found ^= byte << 16
        for _ in range(8):
            found = (found << 1) ^ (0x1864CFB if found & 0x800000 else 0)
    return found & 0xFFFFFF
