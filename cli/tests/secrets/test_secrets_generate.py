"""Secrets that can be made."""

from __future__ import annotations

import datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from deployctl.secrets import generate


@given(st.integers(8, 200))
def test_a_password_has_its_length_and_no_sign_that_a_url_or_a_shell_reads(length: int) -> None:
    made = generate("password", length=length)
    assert made is not None
    assert len(made.reveal()) == length
    assert made.reveal().isascii() and made.reveal().isalnum()


def test_no_password_comes_twice() -> None:
    assert len({made.reveal() for made in (generate("password") for _ in range(50)) if made}) == 50


def test_a_certificate_is_for_the_names_and_goes_with_its_key() -> None:
    made = generate("tls", names=["shop.example", "10.77.10.11"])
    assert made is not None
    key = load_pem_private_key(made.reveal().encode(), None)
    certificate = x509.load_pem_x509_certificate(made.reveal().encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.77.10.11")]
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificate.public_key().public_bytes(*spki) == key.public_key().public_bytes(*spki)
    certificate.verify_directly_issued_by(certificate)
    assert made.reveal().startswith("-----BEGIN PRIVATE KEY-----")


def test_a_certificate_is_valid_now_and_not_longer_than_browsers_accept() -> None:
    made = generate("tls")
    assert made is not None
    certificate, now = x509.load_pem_x509_certificate(made.reveal().encode()), datetime.datetime.now(datetime.UTC)
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
    assert certificate.not_valid_after_utc - now <= datetime.timedelta(days=825)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("kind", ["opaque", "something-new"])
def test_what_only_the_client_knows_is_not_made(kind: str) -> None:
    assert generate(kind) is None
