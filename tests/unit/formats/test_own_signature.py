# SPDX-License-Identifier: Apache-2.0
"""Each algorithm of our own keys: one input, one encoding, and nothing else verifies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from signer.domain.algorithm import Algorithm, is_key_input, key_input, parse_algorithm
from signer.errors import Malformed, Refused
from signer.formats.own_signature import require_key, verify_own
from signer.formats.spki import PublicKey
from signer.keys.encodings import raw_from_der
from tests.unit.formats.keys import ed25519, p256, p384, rsa_key

MESSAGE = b"DSSEv1 a statement"
SHA256, SHA384 = hashes.SHA256(), hashes.SHA384()


def pss(*, salt: int = 32, mgf: hashes.HashAlgorithm = SHA256) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(mgf), salt_length=salt)


PUBLIC: dict[Algorithm, PublicKey] = {
    Algorithm.ECDSA_P256: p256().public_key(),
    Algorithm.ECDSA_P384: p384().public_key(),
    Algorithm.ED25519: ed25519().public_key(),
    Algorithm.RSA_PKCS1_3072: rsa_key(3072).public_key(),
    Algorithm.RSA_PSS_3072: rsa_key(3072).public_key(),
}
GOOD: dict[Algorithm, bytes] = {
    Algorithm.ECDSA_P256: p256().sign(MESSAGE, ec.ECDSA(SHA256)),
    Algorithm.ECDSA_P384: p384().sign(MESSAGE, ec.ECDSA(SHA384)),
    Algorithm.ED25519: ed25519().sign(MESSAGE),
    Algorithm.RSA_PKCS1_3072: rsa_key(3072).sign(MESSAGE, padding.PKCS1v15(), SHA256),
    Algorithm.RSA_PSS_3072: rsa_key(3072).sign(MESSAGE, pss(), SHA256),
}


@pytest.mark.parametrize("algorithm", GOOD)
def test_verifies_its_own_signature_and_no_other(algorithm: Algorithm) -> None:
    for other, signature in GOOD.items():
        if other is algorithm:
            verify_own(algorithm, PUBLIC[algorithm], MESSAGE, signature)
        else:
            with pytest.raises(Refused):
                verify_own(algorithm, PUBLIC[algorithm], MESSAGE, signature)


@pytest.mark.parametrize(
    ("algorithm", "sign"),
    [
        pytest.param(Algorithm.ECDSA_P256, lambda: raw_from_der(GOOD[Algorithm.ECDSA_P256]), id="r and s, not DER"),
        pytest.param(Algorithm.ECDSA_P256, lambda: p256().sign(MESSAGE, ec.ECDSA(SHA384)), id="P-256 over SHA-384"),
        pytest.param(Algorithm.ECDSA_P384, lambda: p384().sign(MESSAGE, ec.ECDSA(SHA256)), id="P-384 over SHA-256"),
        pytest.param(
            Algorithm.ED25519, lambda: ed25519().sign(key_input(Algorithm.ECDSA_P256, MESSAGE)), id="a digest"
        ),
        pytest.param(
            Algorithm.RSA_PSS_3072, lambda: rsa_key(3072).sign(MESSAGE, pss(salt=20), SHA256), id="a short salt"
        ),
        pytest.param(
            Algorithm.RSA_PSS_3072, lambda: rsa_key(3072).sign(MESSAGE, pss(salt=350), SHA256), id="the longest salt"
        ),
        pytest.param(
            Algorithm.RSA_PSS_3072, lambda: rsa_key(3072).sign(MESSAGE, pss(mgf=SHA384), SHA256), id="another mask"
        ),
        pytest.param(Algorithm.RSA_PKCS1_3072, lambda: b"", id="nothing"),
        pytest.param(
            Algorithm.ECDSA_P256,
            lambda: p256().sign(key_input(Algorithm.ECDSA_P256, MESSAGE), ec.ECDSA(SHA256)),
            id="hashed twice, as a digest sent for a message",
        ),
    ],
)
def test_refuses(algorithm: Algorithm, sign: Callable[[], bytes]) -> None:
    with pytest.raises(Refused) as caught:
        verify_own(algorithm, PUBLIC[algorithm], MESSAGE, sign())
    assert caught.value.code == "signature-invalid"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_of_another_kind_or_size_does_not_fit(algorithm: Algorithm) -> None:
    fits = []
    others = {"2048": rsa_key(2048).public_key(), "4096": rsa_key(4096).public_key()}
    for name, key in (*PUBLIC.items(), *others.items()):
        try:
            require_key(algorithm, key)
        except Malformed:
            continue
        fits.append(str(name))
    same = {Algorithm.RSA_PKCS1_3072, Algorithm.RSA_PSS_3072}
    wanted = same if algorithm in same else {"4096"} if "4096" in algorithm else {algorithm}
    assert set(fits) == {str(each) for each in wanted}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_input_of_a_key_has_one_length(algorithm: Algorithm) -> None:
    assert is_key_input(algorithm, key_input(algorithm, MESSAGE))
    lengths = {length for length in range(100) if is_key_input(algorithm, bytes(length))}
    wanted = {Algorithm.ED25519: set(range(1, 100)), Algorithm.ECDSA_P384: {48}}.get(algorithm, {32})
    assert lengths == wanted


def test_an_unknown_name_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(Malformed) as caught:
        parse_algorithm("rsa-pss-sha256")
    assert caught.value.code == "algorithm-unknown"
    assert "rsa-pss-3072-sha256" in caught.value.remedy
