"""Make a secret of a kind that can be made: passwords, and a self-signed certificate for a first try."""

from __future__ import annotations

import datetime
import secrets
import string
from collections.abc import Sequence
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deployctl.secrets.value import Secret

ALPHABET = string.ascii_letters + string.digits
"""No punctuation: passwords end up in URLs, YAML and shells that are not ours."""

VALID = datetime.timedelta(days=825)
"""What browsers accept at the most for a certificate that a user trusts by hand."""


def generate(kind: str, *, length: int = 32, names: Sequence[str] = ("localhost",)) -> Secret | None:
    """A new secret of this kind, or None where only the client can know it."""
    if kind == "password":
        return Secret("".join(secrets.choice(ALPHABET) for _ in range(length)))
    if kind == "tls":
        return Secret(_self_signed(names))
    return None


def _self_signed(names: Sequence[str]) -> str:
    """A key and its certificate in one PEM text, in this order, as nginx and HAProxy read them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_alternative(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
