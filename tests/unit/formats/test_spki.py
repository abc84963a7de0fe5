# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from base64 import b64encode
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, strategies as st

from signer.errors import Malformed, Refused
from signer.formats.spki import keyid, load_pem, load_spki, spki_der, spki_pem, verify_signature
from tests.unit.formats.keys import ed25519, p256, p384, rsa_key

MESSAGE = b"message"
SPKI = PublicFormat.SubjectPublicKeyInfo


def raw(signature: bytes, half: int) -> bytes:
    r, s = decode_dss_signature(signature)
    return r.to_bytes(half) + s.to_bytes(half)


P256_DER = p256().sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
P384_DER = p384().sign(MESSAGE, ec.ECDSA(hashes.SHA384()))

ACCEPTED = [
    pytest.param(p256().public_key(), P256_DER, id="P-256, DER"),
    pytest.param(p256().public_key(), raw(P256_DER, 32), id="P-256, raw r and s"),
    pytest.param(p384().public_key(), P384_DER, id="P-384, DER"),
    pytest.param(p384().public_key(), raw(P384_DER, 48), id="P-384, raw r and s"),
    pytest.param(ed25519().public_key(), ed25519().sign(MESSAGE), id="Ed25519"),
    pytest.param(
        rsa_key().public_key(),
        rsa_key().sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()),
        id="RSA PKCS#1 v1.5 with SHA-256",
    ),
]


@pytest.mark.parametrize(("key", "signature"), ACCEPTED)
def test_verifies(key: object, signature: bytes) -> None:
    assert verify_signature(key, MESSAGE, signature) is None  # type: ignore[arg-type,func-returns-value] # table of keys


@pytest.mark.parametrize(("key", "signature"), ACCEPTED)
def test_refuses_another_message(key: object, signature: bytes) -> None:
    with pytest.raises(Refused) as refused:
        verify_signature(key, b"massage", signature)  # type: ignore[arg-type] # table of keys
    assert refused.value.code == "signature-invalid"


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        pytest.param(p256(2).public_key(), P256_DER, id="another key"),
        pytest.param(
            p256().public_key(),
            p256().sign(MESSAGE, ec.ECDSA(hashes.SHA512())),
            id="P-256 over another hash: the key fixes the algorithm",
        ),
        pytest.param(p384().public_key(), p384().sign(MESSAGE, ec.ECDSA(hashes.SHA256())), id="P-384 over SHA-256"),
        pytest.param(
            rsa_key().public_key(),
            rsa_key().sign(MESSAGE, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
            id="RSA-PSS",
        ),
        pytest.param(p256().public_key(), b"", id="nothing"),
        pytest.param(p256().public_key(), bytes(64), id="r and s are zero"),
        pytest.param(p256().public_key(), b"\xff" * 64, id="r and s beyond the order"),
        pytest.param(p256().public_key(), P256_DER + b"\x00", id="trailing byte"),
        pytest.param(p256().public_key(), raw(P256_DER, 33), id="raw with padded halves"),
        pytest.param(ed25519().public_key(), bytes(64), id="Ed25519 of zeros"),
    ],
)
def test_refuses_the_signature(key: object, signature: bytes) -> None:
    with pytest.raises(Refused):
        verify_signature(key, MESSAGE, signature)  # type: ignore[arg-type] # table of keys


def test_the_twin_of_an_ecdsa_signature_verifies_so_signatures_identify_nothing() -> None:
    r, s = decode_dss_signature(P256_DER)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    verify_signature(p256().public_key(), MESSAGE, encode_dss_signature(r, order - s))


@pytest.mark.parametrize("key", [p256().public_key(), p384().public_key(), ed25519().public_key()])
def test_der_and_pem_come_back(key: object) -> None:
    der = spki_der(key)  # type: ignore[arg-type] # table of keys
    assert spki_der(load_spki(der)) == der
    assert spki_der(load_pem(spki_pem(load_spki(der)))) == der


def test_the_key_id_is_base64_of_sha256_of_the_der() -> None:
    der = spki_der(p256().public_key())
    assert keyid(der) == b64encode(hashlib.sha256(der).digest()).decode()


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(
            ec.derive_private_key(5, ec.SECP521R1()).public_key().public_bytes(Encoding.DER, SPKI), id="P-521"
        ),
        pytest.param(
            ec.derive_private_key(5, ec.SECP256K1()).public_key().public_bytes(Encoding.DER, SPKI), id="secp256k1"
        ),
        pytest.param(rsa_key(1024).public_key().public_bytes(Encoding.DER, SPKI), id="RSA of 1024 bits"),
        pytest.param(
            rsa.generate_private_key(public_exponent=3, key_size=2048).public_key().public_bytes(Encoding.DER, SPKI),
            id="RSA with exponent 3",
        ),
        pytest.param(ed448.Ed448PrivateKey.generate().public_key().public_bytes(Encoding.DER, SPKI), id="Ed448"),
        pytest.param(dsa.generate_private_key(1024).public_key().public_bytes(Encoding.DER, SPKI), id="DSA"),
        pytest.param(p256().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), id="a private key"),
        pytest.param(spki_der(p256().public_key()) + b"\x00", id="trailing byte"),
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(5000), id="too long"),
    ],
)
def test_refuses_the_key(der: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        load_spki(der)
    assert refused.value.code == "invalid-key"


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param("", id="nothing"),
        pytest.param("-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----\n", id="junk inside"),
        pytest.param(
            p256().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), id="a private key"
        ),
        pytest.param("\ud800", id="a lone surrogate"),
    ],
)
def test_refuses_the_pem(pem: str) -> None:
    with pytest.raises(Malformed):
        load_pem(pem)


@given(st.integers(0, 90), st.integers(1, 255))
def test_a_damaged_key_never_crashes(position: int, flip: int) -> None:
    der = bytearray(spki_der(p256().public_key()))
    der[position % len(der)] ^= flip
    with suppress(Malformed):
        load_spki(bytes(der))
