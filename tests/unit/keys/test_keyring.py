# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signer.domain.algorithm import Algorithm
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.spki import spki_der
from signer.keys.backend import KeyFault, Scope
from signer.keys.keyring import TOKEN_MESSAGE, PinCheck, keyring_of, pin_of
from signer.keys.uri import Pkcs11Uri

URI = "pkcs11:token=signer;object=release;id=%01"
OTHER = "pkcs11:token=signer;object=release;id=%02"
ALGORITHM = "ecdsa-p256-sha256"
KMS_URI = "awskms:///arn:aws:kms:eu-central-1:111122223333:alias/release"
PLACE = Pkcs11Uri("signer", "release", b"\1")


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def spki() -> bytes:
    return spki_der(new_key().public_key())


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("a", URI, "statement", ALGORITHM), ("a", OTHER, "statement", ALGORITHM)], id="one name twice"),
        pytest.param(
            [
                ("a", URI, "statement", ALGORITHM),
                ("b", "pkcs11:id=%01;object=release;token=signer", "image", ALGORITHM),
            ],
            id="two purposes on one object, spelt differently",
        ),
        pytest.param([("a", "pkcs11:token=x", "statement", ALGORITHM)], id="a URI that names no key"),
        pytest.param([("a", URI, "statement", "rsa-3072")], id="an algorithm that is not supported"),
        pytest.param([("a", URI, "release", ALGORITHM)], id="a purpose that is not known"),
    ],
)
def test_settings_that_cannot_be_a_keyring_stop_the_process(rows: list[tuple[str, str, str, str]]) -> None:
    with pytest.raises(Misconfigured):
        keyring_of(rows)


def test_a_key_is_usable_when_settings_and_ledger_agree() -> None:
    pin = pin_of("release", purpose="statement", algorithm=ALGORITHM, spki=spki())
    key = keyring_of([("release", URI, "statement", ALGORITHM)]).resolve(
        "release", purpose="statement", pins={"release": pin}
    )
    assert (key.place.uri, key.pin) == (PLACE, pin)


@pytest.mark.parametrize(
    ("configured", "recorded", "wanted", "code"),
    [
        pytest.param("statement", "statement", "image", "key-purpose", id="asked for another purpose"),
        pytest.param("image", "statement", "statement", "key-purpose", id="configured for another purpose"),
        pytest.param("statement", "image", "statement", "key-purpose", id="recorded for another purpose"),
        pytest.param("statement", None, "statement", "key-not-recorded", id="never recorded"),
        pytest.param(None, "statement", "statement", "key-not-configured", id="not configured"),
    ],
)
def test_a_key_serves_one_purpose_or_none(configured: str | None, recorded: str | None, wanted: str, code: str) -> None:
    ring = keyring_of([] if configured is None else [("k", URI, configured, ALGORITHM)])
    pins = {} if recorded is None else {"k": pin_of("k", purpose=recorded, algorithm=ALGORITHM, spki=spki())}
    with pytest.raises(Unavailable) as caught:
        ring.resolve("k", purpose=wanted, pins=pins)
    assert caught.value.code == code


def test_a_pin_is_a_p256_key() -> None:
    with pytest.raises(Malformed):
        pin_of(
            "k",
            purpose="statement",
            algorithm=ALGORITHM,
            spki=spki_der(ec.generate_private_key(ec.SECP384R1()).public_key()),
        )


def test_another_public_key_than_the_pin_is_a_mismatch() -> None:
    with pytest.raises(KeyFault) as caught:
        PinCheck(spki(), uri=PLACE, algorithm=Algorithm.ECDSA_P256).check_found(spki())
    assert (caught.value.code, caught.value.scope) == ("key-pin-mismatch", Scope.KEY)


@pytest.mark.parametrize("fault", ["another key", "another digest", "empty", "48-byte digest"])
def test_a_signature_that_does_not_verify_under_the_pin_goes_nowhere(fault: str) -> None:
    key, message = new_key(), b"statement"
    digest = hashlib.sha256(message).digest()
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    pin = PinCheck(spki_der(key.public_key()), uri=PLACE, algorithm=Algorithm.ECDSA_P256)
    pin.verify_own(digest, signature)
    pin = PinCheck(spki(), uri=PLACE, algorithm=Algorithm.ECDSA_P256) if fault == "another key" else pin
    digest = {"another digest": b"\0" * 32, "48-byte digest": b"\0" * 48}.get(fault, digest)
    signature = b"" if fault == "empty" else signature
    with pytest.raises(KeyFault) as caught:
        pin.verify_own(digest, signature)
    assert (caught.value.code, caught.value.touched) == ("self-check-failed", True)


@pytest.mark.parametrize(
    ("uri", "algorithm", "limit"),
    [
        pytest.param(URI, "ecdsa-p256-sha256", None, id="a digest has no length to limit"),
        pytest.param(URI, "ed25519", TOKEN_MESSAGE, id="Ed25519 in a token"),
        pytest.param(KMS_URI, "rsa-pss-3072-sha256", None, id="a digest in KMS"),
        pytest.param(KMS_URI, "ed25519", 4096, id="Ed25519 in KMS"),
    ],
)
def test_only_a_key_that_signs_whole_messages_limits_them(uri: str, algorithm: str, limit: int | None) -> None:
    assert keyring_of([("k", uri, "statement", algorithm)]).place("k").message_limit == limit
