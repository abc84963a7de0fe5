# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.dsse import (
    IN_TOTO,
    MAX_ENVELOPE,
    MAX_SIGNATURES,
    encode_envelope,
    pae,
    parse_envelope,
    verify_envelope,
)
from signer.formats.spki import PublicKey, keyid, spki_der
from tests.unit.formats.keys import ed25519, p256

# secure-systems-lab/dsse:protocol.md, "Test Vectors": a raw r and s signature.
SPEC_TYPE = "http://example.com/HelloWorld"
SPEC_ENVELOPE = (
    b'{"payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld","signatures":[{"keyid":"66301bbf",'
    b'"sig":"A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}'
)
SPEC_KEY = ec.derive_private_key(
    97358161215184420915383655311931858321456579547487070936769975997791359926199, ec.SECP256R1()
).public_key()


def sign(payload: bytes, *keys: ec.EllipticCurvePrivateKey, payload_type: str = IN_TOTO) -> list[tuple[str, bytes]]:
    message = pae(payload_type, payload)
    return [(keyid(spki_der(key.public_key())), key.sign(message, ec.ECDSA(hashes.SHA256()))) for key in keys]


def wire(**changes: Any) -> bytes:
    [(hint, signature)] = sign(b"{}", p256())
    envelope = {
        "payload": b64encode(b"{}").decode(),
        "payloadType": IN_TOTO,
        "signatures": [{"keyid": hint, "sig": b64encode(signature).decode()}],
    }
    return json.dumps({**envelope, **changes}).encode()


def test_the_standards_own_vector_verifies() -> None:
    envelope = parse_envelope(SPEC_ENVELOPE)
    assert pae(envelope.payload_type, envelope.payload) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert verify_envelope(envelope, {"spec": SPEC_KEY}) == {"spec"}


def test_a_raw_signature_of_our_own_verifies() -> None:
    [(hint, der)] = sign(b"body", p256())
    r, s = decode_dss_signature(der)
    raw = r.to_bytes(32) + s.to_bytes(32)
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"body", [(hint, raw)]))
    assert verify_envelope(envelope, {"a": p256().public_key()}) == {"a"}


@pytest.mark.parametrize(
    ("payload_type", "payload", "encoded"),
    [
        ("", b"", b"DSSEv1 0  0 "),
        ("a", b"b c", b"DSSEv1 1 a 3 b c"),
        ("é", b"", b"DSSEv1 2 \xc3\xa9 0 "),
    ],
)
def test_pae_counts_bytes_without_leading_zeros(payload_type: str, payload: bytes, encoded: bytes) -> None:
    assert pae(payload_type, payload) == encoded


def test_url_safe_base64_is_accepted() -> None:
    payload = bytes(range(240, 256)) * 3
    [(_, signature)] = sign(payload, p256())
    envelope = parse_envelope(
        json.dumps(
            {
                "payload": urlsafe_b64encode(payload).decode(),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": urlsafe_b64encode(signature).decode()}],
            }
        ).encode()
    )
    assert envelope.payload == payload
    assert verify_envelope(envelope, {"a": p256().public_key()}) == {"a"}


@pytest.mark.parametrize("hint", ["", "other", keyid(spki_der(p256(2).public_key()))])
def test_the_keyid_neither_grants_nor_denies(hint: str) -> None:
    [(_, signature)] = sign(b"{}", p256())
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"{}", [(hint, signature)]))
    keys: dict[str, PublicKey] = {
        "a": p256().public_key(),
        "b": p256(2).public_key(),
        "c": ed25519().public_key(),
    }
    hints = {keyid(spki_der(p256(2).public_key())): "b"}
    assert verify_envelope(envelope, keys, hints=hints) == {"a"}


def test_the_keyid_of_a_trusted_key_does_not_vouch_for_anothers_signature() -> None:
    [(_, signature)] = sign(b"{}", p256(2))
    trusted = keyid(spki_der(p256().public_key()))
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"{}", [(trusted, signature)]))
    assert verify_envelope(envelope, {"a": p256().public_key()}, hints={trusted: "a"}) == frozenset()


def test_a_hint_at_a_key_that_is_not_trusted_is_ignored() -> None:
    [(hint, signature)] = sign(b"{}", p256())
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"{}", [(hint, signature)]))
    assert verify_envelope(envelope, {"b": p256(2).public_key()}, hints={hint: "gone"}) == frozenset()


def test_one_key_signing_twice_counts_once() -> None:
    signatures = [("first", sign(b"{}", p256())[0][1]), ("second", sign(b"{}", p256())[0][1])]
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"{}", signatures))
    assert verify_envelope(envelope, {"a": p256().public_key(), "b": p256(2).public_key()}) == {"a"}


def test_all_keys_that_signed_are_named() -> None:
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"{}", sign(b"{}", p256(), p256(2), p256(3))))
    keys = {"a": p256().public_key(), "c": p256(3).public_key()}
    assert verify_envelope(envelope, keys) == {"a", "c"}


def test_a_signature_over_the_body_alone_does_not_verify() -> None:
    signature = p256().sign(b"{}", ec.ECDSA(hashes.SHA256()))
    envelope = parse_envelope(encode_envelope(IN_TOTO, b"{}", [("", signature)]))
    assert verify_envelope(envelope, {"a": p256().public_key()}) == frozenset()


def test_a_swapped_payload_type_does_not_verify() -> None:
    envelope = parse_envelope(encode_envelope("text/plain", b"{}", sign(b"{}", p256())))
    assert verify_envelope(envelope, {"a": p256().public_key()}) == frozenset()


def test_unknown_fields_are_ignored() -> None:
    [(_, signature)] = sign(b"{}", p256())
    entry = {"keyid": None, "sig": b64encode(signature).decode(), "cert": "-----BEGIN CERTIFICATE-----"}
    envelope = parse_envelope(wire(signatures=[entry], extra={"a": 1}))
    assert verify_envelope(envelope, {"a": p256().public_key()}) == {"a"}


SIGNATURE = {"sig": b64encode(b"x").decode()}
REFUSED = [
    pytest.param(wire(signatures=[]), "evidence-invalid", id="E07 no signature"),
    pytest.param(wire(signatures=[SIGNATURE] * (MAX_SIGNATURES + 1)), "too-large", id="P09 too many signatures"),
    pytest.param(wire(signatures=[{"sig": ""}]), "evidence-invalid", id="an empty signature"),
    pytest.param(wire(signatures=[{"sig": "YWJ="}]), "invalid-encoding", id="P05 a signature that is not canonical"),
    pytest.param(wire(signatures=[{"sig": "A" * 9000}]), "evidence-invalid", id="a signature that is too long"),
    pytest.param(wire(signatures=[{"sig": 7}]), "evidence-invalid", id="a signature that is a number"),
    pytest.param(wire(signatures=[{}]), "evidence-invalid", id="an entry without signature"),
    pytest.param(wire(signatures={}), "evidence-invalid", id="signatures that are an object"),
    pytest.param(wire(payload="YWJ="), "invalid-encoding", id="P05 a payload that is not canonical"),
    pytest.param(wire(payload=None), "evidence-invalid", id="no payload"),
    pytest.param(wire(payloadType=""), "evidence-invalid", id="no payload type"),
    pytest.param(wire(payloadType="té/xt"), "evidence-invalid", id="a payload type outside ASCII"),
    pytest.param(wire(payloadType="a" * 257), "evidence-invalid", id="a payload type that is too long"),
    pytest.param(
        wire().replace(b'"payload":', b'"payload":"e30=","payload":', 1), "duplicate-key", id="P01 two payloads"
    ),
    pytest.param(b"[]", "malformed-json", id="a list"),
    pytest.param(b" " * (MAX_ENVELOPE + 1), "too-large", id="more bytes than the limit"),
]


@pytest.mark.parametrize(("data", "code"), REFUSED)
def test_refuses(data: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_envelope(data)
    assert refused.value.code == code


@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    st.binary(max_size=80),
    st.lists(st.tuples(st.text(max_size=10), st.binary(min_size=1, max_size=80)), min_size=1, max_size=4),
)
def test_what_is_written_is_read_back(payload_type: str, payload: bytes, signatures: list[tuple[str, bytes]]) -> None:
    envelope = parse_envelope(encode_envelope(payload_type, payload, signatures))
    assert (envelope.payload_type, envelope.payload) == (payload_type, payload)
    assert [(entry.keyid, entry.sig) for entry in envelope.signatures] == signatures
