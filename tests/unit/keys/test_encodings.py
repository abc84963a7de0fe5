# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.spki import spki_der
from signer.keys.encodings import P256_OID, der_from_raw, raw_from_der, spki_from_ec

HALF = st.integers(1, 2**256 - 1).map(lambda number: number.to_bytes(32))


@given(HALF, HALF)
def test_raw_and_der_are_the_same_signature(r: bytes, s: bytes) -> None:
    assert raw_from_der(der_from_raw(r + s)) == r + s


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty, as a token answers that signed nothing"),
        pytest.param(b"\1" * 63, id="a byte short"),
        pytest.param(b"\1" * 96, id="of P-384"),
        pytest.param(b"\0" * 32 + b"\1" * 32, id="r is zero"),
        pytest.param(b"\1" * 32 + b"\0" * 32, id="s is zero"),
    ],
)
def test_no_signature_is_made_of_bytes(raw: bytes) -> None:
    with pytest.raises(Malformed):
        der_from_raw(raw)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_der_signature_or_malformed(der: bytes) -> None:
    try:
        raw = raw_from_der(der)
    except Malformed:
        return
    assert len(raw) == 64


def test_a_der_signature_of_a_larger_curve_is_malformed() -> None:
    der = ec.generate_private_key(ec.SECP384R1()).sign(b"x", ec.ECDSA(hashes.SHA384()))
    with pytest.raises(Malformed):
        raw_from_der(der)


@pytest.mark.parametrize("wrap", [b"\x04\x41", b""], ids=["point in an octet string", "bare point"])
def test_the_attributes_of_a_token_give_the_spki(wrap: bytes) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert spki_from_ec(P256_OID, wrap + point) == spki_der(key)


@pytest.mark.parametrize(
    ("params", "point"),
    [
        pytest.param(bytes.fromhex("06052b81040022"), b"\x04" + b"\1" * 64, id="another curve"),
        pytest.param(P256_OID, b"", id="no point"),
        pytest.param(P256_OID, b"\x04" + b"\1" * 64, id="a point off the curve"),
        pytest.param(P256_OID, b"\x04\x41" + b"\x04" + b"\1" * 64, id="a wrapped point off the curve"),
    ],
)
def test_no_spki_is_made_of(params: bytes, point: bytes) -> None:
    with pytest.raises(Malformed):
        spki_from_ec(params, point)
