"""Public and private keys: P-256 (the default, for FIPS sites) and Ed25519."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from deploybundle.trust.problems import KeyExists, KeyProblem, KeyTooOpen, PassphraseWrong
from deploybundle.trust.words import spell

Algorithm = Literal["p256", "ed25519"]
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_HOW_TO_OPEN = "--passphrase-file, or type it at a terminal"
_Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

# SP 800-186, 3.2.1.3. A signature (r, s) verifies as (r, n - s) too: only the lower s is ours, for one spelling.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class PublicKey:
    """A vendor's public key, as one line in OpenSSH's form without a comment; equal lines are equal keys."""

    ssh_line: str

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """The key of a file: OpenSSH's one line (its comment is dropped) or PEM. KeyProblem if none of ours."""
        try:
            data = path.read_bytes()
            if b"PRIVATE KEY-----" in data[:100]:
                hint = f"name the public half, {path}.pub; the private one stays with its owner and goes to nobody"
                raise KeyProblem("this is a private key", place=str(path), hint=hint)
            return cls.parse(data)
        except OSError as error:
            hint = "name the .pub file that `deployctl keygen` wrote beside the key"
            raise KeyProblem(f"cannot read the public key: {error.strerror}", place=str(path), hint=hint) from error
        except ValueError as error:
            raise KeyProblem(f"{error}", place=str(path), hint="expected one line as in id_ecdsa.pub, or PEM") from error

    @classmethod
    def parse(cls, data: bytes) -> PublicKey:
        """The key in these bytes, OpenSSH or PEM. ValueError if there is none of ours."""
        read = pem.load_pem_public_key if data.lstrip().startswith(b"-----BEGIN") else pem.load_ssh_public_key
        try:
            key = read(data.strip())
        except Exception as error:  # cryptography raises several unrelated types, among them UnsupportedAlgorithm
            raise ValueError(f"not a public key: {error}") from error
        return cls.of(key)

    @classmethod
    def of(cls, key: object) -> PublicKey:
        """The key from cryptography's object. ValueError for other algorithms."""
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key.public_bytes(pem.Encoding.OpenSSH, pem.PublicFormat.OpenSSH).decode())
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(key.public_bytes(pem.Encoding.OpenSSH, pem.PublicFormat.OpenSSH).decode())
        raise ValueError("only P-256 and Ed25519 keys sign bundles")

    @cached_property
    def _key(self) -> _Public:
        key = pem.load_ssh_public_key(self.ssh_line.encode())
        assert isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)  # noqa: S101  (made by `of`)
        return key

    @property
    def blob(self) -> bytes:
        """The key as SSH's wire format has it (RFC 4253, 6.6)."""
        return base64.b64decode(self.ssh_line.split()[1])

    @property
    def algorithm(self) -> str:
        """SSH's name of the algorithm: ecdsa-sha2-nistp256 (RFC 5656) or ssh-ed25519 (RFC 8709)."""
        return self.ssh_line.split()[0]

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -lf` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def words(self) -> tuple[str, ...]:
        """The fingerprint as 16 words to read aloud."""
        return spell(hashlib.sha256(self.blob).digest())

    @property
    def pem(self) -> bytes:
        """The key as PEM (SubjectPublicKeyInfo, RFC 5480), which cosign and openssl read."""
        return self._key.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, payload: bytes, signature: bytes) -> bool:
        """Whether this signs `payload`: ASN.1 (r, low s) over SHA-256 for P-256, 64 raw bytes for Ed25519."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, payload)
            else:
                self._key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return self.algorithm == "ssh-ed25519" or low_s(signature) == signature


def low_s(signature: bytes) -> bytes:
    """An ECDSA signature (ASN.1) in the one of its two spellings that we use."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, P256_ORDER - s))


class Signer(Protocol):
    """Whoever holds the private key: a file here; a token or a KMS can follow."""

    @property
    def public(self) -> PublicKey:
        """The key that will verify."""

    def sign(self, payload: bytes) -> bytes:
        """The signature that `PublicKey.verifies` accepts."""


@dataclass(frozen=True)
class FileSigner:
    """A private key out of a file."""

    key: PrivateKey

    @cached_property
    def public(self) -> PublicKey:
        """The key that will verify."""
        return PublicKey.of(self.key.public_key())

    def sign(self, payload: bytes) -> bytes:
        """The signature that `PublicKey.verifies` accepts."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(payload)
        return low_s(self.key.sign(payload, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))  # RFC 6979


def check_free(path: Path) -> None:
    """KeyExists if a new key of this name would meet another, or its public half."""
    for each in (path, path.with_name(path.name + ".pub")):
        if each.exists():
            raise _exists(each)


def _exists(path: Path) -> KeyExists:
    return KeyExists("there is a key already", place=str(path), hint="name another file, or move the old key away")


def generate(path: Path, passphrase: bytes | None, algorithm: Algorithm = "p256") -> PublicKey:
    """Make a key pair, never over another: PKCS #8 PEM, mode 0600, encrypted given a passphrase; and `path`.pub."""
    key = _new_key(algorithm)
    lock = pem.BestAvailableEncryption(passphrase) if passphrase else pem.NoEncryption()
    check_free(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = FileSigner(key).public
    _write_new(path, key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, lock), 0o600)
    _write_new(path.with_name(path.name + ".pub"), f"{public.ssh_line}\n".encode(), 0o644)
    return public


def _new_key(algorithm: Algorithm) -> PrivateKey:
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise _exists(path) from error
    with os.fdopen(target, "wb") as out:
        out.write(data)


def load_private(path: Path, passphrase: bytes | None) -> FileSigner:
    """The signer of a key file. KeyTooOpen if unencrypted and open to others, PassphraseWrong, or KeyProblem."""
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        hint = "make one with: deployctl keygen"
        raise KeyProblem(f"cannot read the private key: {error.strerror}", place=str(path), hint=hint) from error
    encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in data
    _check_protection(path, mode, encrypted, passphrase)
    return _signer(path, data, passphrase if encrypted else None)


def _check_protection(path: Path, mode: int, encrypted: bool, passphrase: bytes | None) -> None:
    if encrypted and not passphrase:
        raise PassphraseWrong("the private key has a passphrase, and none was given", place=str(path), hint=_HOW_TO_OPEN)
    if not encrypted and mode & 0o077:
        raise KeyTooOpen(
            f"the private key has no passphrase and its mode is {mode & 0o777:04o}; expected 0600",
            place=str(path),
            hint=f"chmod 600 {path}",
        )


def _signer(path: Path, data: bytes, passphrase: bytes | None) -> FileSigner:
    try:
        key = pem.load_pem_private_key(data, passphrase)
    except Exception as error:  # as above: several unrelated types
        if passphrase:
            raise PassphraseWrong("the passphrase does not open this key", place=str(path), hint=_HOW_TO_OPEN) from error
        raise KeyProblem(f"not a private key: {error}", place=str(path), hint="expected PKCS #8 as PEM") from error
    if isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return FileSigner(key)
    raise KeyProblem("only P-256 and Ed25519 keys sign bundles", place=str(path))
