# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, strategies as st

from signer.errors import Refused
from signer.identity.certificate import caller_san
from signer.identity.spiffe import is_spiffe_id
from tests.unit.formats.keys import p256

CI = "spiffe://dev.invalid/robot/ci"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def usage(**changes: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        **{
            "digital_signature": True,
            "content_commitment": False,
            "key_encipherment": False,
            "data_encipherment": False,
            "key_agreement": False,
            "key_cert_sign": False,
            "crl_sign": False,
            "encipher_only": False,
            "decipher_only": False,
            **changes,
        }
    )


def certificate(
    *uris: str,
    names: tuple[Any, ...] = (),
    extensions: tuple[Any, ...] = (),
    common_name: str = "ci",
    purpose: x509.ExtendedKeyUsage | None = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),  # noqa: B008 - a constant
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(p256().public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    sans = [x509.UniformResourceIdentifier(uri) for uri in uris] + list(names)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    for extension in (*extensions, *(() if purpose is None else (purpose,))):
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(p256(), hashes.SHA256()).public_bytes(Encoding.DER)


ANY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
LEAF = x509.BasicConstraints(ca=False, path_length=None)
CA = x509.BasicConstraints(ca=True, path_length=None)

ACCEPTED = [
    pytest.param(certificate(CI), id="client authentication and nothing else"),
    pytest.param(certificate(CI, extensions=(LEAF, usage()), purpose=BOTH), id="an X509-SVID"),
    pytest.param(certificate(CI, names=(x509.DNSName("evil.example"),)), id="other names are ignored"),
    pytest.param(certificate(CI, common_name="root"), id="the common name is never read"),
]
REFUSED = [
    pytest.param(certificate(), id="T05 no SAN"),
    pytest.param(certificate(names=(x509.DNSName("ci.dev.invalid"),)), id="T05 no URI SAN"),
    pytest.param(certificate(names=(x509.RFC822Name("ci@dev.invalid"),)), id="T05 an e-mail address"),
    pytest.param(certificate(CI, "spiffe://dev.invalid/person/alice"), id="trap 29: two SPIFFE IDs"),
    pytest.param(certificate(CI, CI), id="trap 29: the same SPIFFE ID twice"),
    pytest.param(certificate(CI, "https://dev.invalid/ci"), id="trap 29: another URI beside it"),
    pytest.param(certificate("https://dev.invalid/robot/ci"), id="another scheme"),
    pytest.param(certificate("spiffe://dev.invalid"), id="no path"),
    pytest.param(certificate("spiffe://dev.invalid/robot/*"), id="T05 a wildcard"),
    pytest.param(certificate(CI, extensions=(CA,)), id="T05 a CA certificate"),
    pytest.param(certificate(CI, extensions=(usage(key_cert_sign=True),)), id="T05 a key that signs certificates"),
    pytest.param(certificate(CI, extensions=(usage(crl_sign=True),)), id="T05 a key that signs revocation lists"),
    pytest.param(certificate(CI, extensions=(usage(digital_signature=False),)), id="a key that may not sign"),
    pytest.param(certificate(CI, purpose=SERVER), id="T05 the purpose of a server"),
    pytest.param(certificate(CI, purpose=None), id="T05 no purpose"),
    pytest.param(certificate(CI, purpose=ANY), id="T05 any purpose"),
    pytest.param(certificate(CI)[:-1], id="cut off"),
    pytest.param(certificate(CI).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1), id="an unknown version"),
    pytest.param(certificate(CI) + b"\x00", id="a trailing byte"),
    pytest.param(b"", id="nothing"),
    pytest.param(bytes(20_000), id="too large"),
]


@pytest.mark.parametrize("der", ACCEPTED)
def test_reads_the_one_name(der: bytes) -> None:
    assert caller_san(der) == CI


@pytest.mark.parametrize("der", REFUSED)
def test_refuses(der: bytes) -> None:
    with pytest.raises(Refused) as refused:
        caller_san(der)
    assert refused.value.code == "client-identity-required"


SPIFFE_IDS = [
    pytest.param("spiffe://example.com/a", True, id="short"),
    pytest.param("spiffe://example.com/ns/prod/sa/ci_1.x-y", True, id="all path characters"),
    pytest.param("spiffe://a_b.c-d/x", True, id="all trust domain characters"),
    pytest.param("spiffe://example.com/" + "a" * (2048 - 21), True, id="the longest"),
    pytest.param("spiffe://example.com/" + "a" * (2049 - 21), False, id="longer than the longest"),
    pytest.param("SPIFFE://example.com/a", False, id="upper-case scheme"),
    pytest.param("spiffe://Example.com/a", False, id="upper-case trust domain"),
    pytest.param("spiffe://example.com:8443/a", False, id="a port"),
    pytest.param("spiffe://user@example.com/a", False, id="userinfo"),
    pytest.param("spiffe://example.com/a/", False, id="a trailing slash"),
    pytest.param("spiffe://example.com//a", False, id="an empty segment"),
    pytest.param("spiffe://example.com/a/../b", False, id="dot segments"),
    pytest.param("spiffe://example.com/.", False, id="a dot segment"),
    pytest.param("spiffe://example.com/...", True, id="three dots are a name"),
    pytest.param("spiffe://example.com/a%2Fb", False, id="percent-encoding"),
    pytest.param("spiffe://example.com/a?b", False, id="a query"),
    pytest.param("spiffe://example.com/a#b", False, id="a fragment"),
    pytest.param("spiffe://example.com/a\n", False, id="a trailing newline"),
    pytest.param("spiffe://ex\u0430mple.com/a", False, id="a look-alike"),
    pytest.param("spiffe:///a", False, id="no trust domain"),
]


@pytest.mark.parametrize(("text", "accepted"), SPIFFE_IDS)
def test_spiffe_ids(text: str, accepted: bool) -> None:
    assert is_spiffe_id(text) is accepted


GOOD = certificate(CI, extensions=(LEAF, usage()), purpose=BOTH)


ODD_SERIAL = pytest.mark.filterwarnings("ignore:Parsed a serial number")


@ODD_SERIAL
def test_refuses_a_negative_serial_number() -> None:
    with pytest.raises(Refused):
        caller_san(certificate(CI).replace(b"\x02\x01\x07", b"\x02\x01\x87", 1))


@ODD_SERIAL
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_certificate_never_crashes(position: int, flip: int) -> None:
    der = bytearray(GOOD)
    der[position] ^= flip
    with suppress(Refused):
        assert is_spiffe_id(caller_san(bytes(der)))


@given(st.binary(max_size=64))
def test_junk_never_crashes(der: bytes) -> None:
    with suppress(Refused):
        caller_san(der)
