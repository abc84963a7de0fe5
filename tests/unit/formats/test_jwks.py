# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signer.errors import Malformed
from signer.formats.jwks import jwk, jwks, thumbprint
from signer.formats.spki import PublicKey, spki_der
from tests.unit.formats.keys import ed25519, p256, p384, rsa_key

KEYS = [
    pytest.param(p256().public_key(), "ecdsa-p256-sha256", ("EC", "P-256", "ES256"), id="P-256"),
    pytest.param(p384().public_key(), "ecdsa-p384-sha384", ("EC", "P-384", "ES384"), id="P-384"),
    pytest.param(ed25519().public_key(), "ed25519", ("OKP", "Ed25519", "Ed25519"), id="Ed25519"),
    pytest.param(rsa_key(3072).public_key(), "rsa-pkcs1-3072-sha256", ("RSA", None, "RS256"), id="RSA PKCS #1"),
    pytest.param(rsa_key(3072).public_key(), "rsa-pss-3072-sha256", ("RSA", None, "PS256"), id="RSA PSS"),
]


@pytest.mark.parametrize(("key", "alg", "members"), KEYS)
def test_describes_the_key(key: PublicKey, alg: str, members: tuple[str, str | None, str]) -> None:
    found = jwk(spki_der(key), alg=alg)
    assert (found["kty"], found.get("crv"), found["alg"]) == members
    assert found["use"] == "sig"
    assert found["kid"] == thumbprint(spki_der(key))


def test_a_coordinate_keeps_its_leading_zero_bytes() -> None:
    key = next(
        key
        for key in (ec.derive_private_key(number, ec.SECP256R1()).public_key() for number in range(1, 3000))
        if key.public_numbers().x.bit_length() <= 248
    )
    x = jwk(spki_der(key), alg="ecdsa-p256-sha256")["x"]
    assert len(x) == 43
    assert urlsafe_b64decode(x + "=")[0] == 0


def test_the_thumbprint_of_rfc_8037() -> None:
    # RFC 8037, appendix A.3.
    spki = bytes.fromhex("302a300506032b6570032100") + urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert thumbprint(spki) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        pytest.param(p256().public_key(), "ecdsa-p384-sha384", id="another curve"),
        pytest.param(p384().public_key(), "ecdsa-p256-sha256", id="the other way round"),
        pytest.param(p256().public_key(), "rsa-pkcs1-3072-sha256", id="another key type"),
        pytest.param(rsa_key(3072).public_key(), "rsa-pss-4096-sha256", id="a smaller modulus"),
        pytest.param(p256().public_key(), "ES256", id="a name that is not ours"),
    ],
)
def test_refuses_an_algorithm_that_does_not_fit(key: PublicKey, alg: str) -> None:
    with pytest.raises(Malformed):
        jwk(spki_der(key), alg=alg)


def test_a_set_holds_the_keys() -> None:
    first = jwk(spki_der(p256().public_key()), alg="ecdsa-p256-sha256")
    assert json.loads(jwks([first])) == {"keys": [first]}
