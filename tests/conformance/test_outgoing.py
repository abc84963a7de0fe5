# SPDX-License-Identifier: Apache-2.0
"""What we sign, verified by programs of others; one flipped bit and each of them refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import Parse, ParseError
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined] # its __init__ exports without __all__

from signer.domain.subject import Subject
from signer.formats.bundle import build_bundle
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.spki import keyid, spki_der
from signer.formats.vsa import PREDICATE_TYPE, build_vsa
from tests.conformance.sigstore_js import SigstoreJs
from tests.unit.formats.keys import p256

KEY = p256(51)
KEYID = keyid(spki_der(KEY.public_key()))
SUBJECTS = [Subject.parse(f"{name}@sha256:{digit * 64}") for name, digit in (("shop", "a"), ("docs", "b"))]


def bundle() -> dict[str, Any]:
    """The bundle of a release, as the custodian makes it."""
    payload = build_vsa(
        subjects=SUBJECTS,
        verifier="https://sign.example.com/authority",
        resource_uri="https://sign.example.com/authority/demo/release",
        policy_uri="https://sign.example.com/authority/policies/demo",
        policy_digest="c" * 64,
        time=datetime(2026, 11, 23, 10, tzinfo=UTC),
        inputs=["d" * 64],
        levels=["SLSA_BUILD_LEVEL_3"],
        request_id="e" * 32,
        dev=False,
        version="0.1.0",
    )
    signature = KEY.sign(pae(IN_TOTO, payload), ec.ECDSA(hashes.SHA256()))
    made = build_bundle(payload_type=IN_TOTO, payload=payload, keyid=KEYID, signature=signature)
    value: dict[str, Any] = json.loads(made)
    return value


def flipped(text: str, *, at: int) -> str:
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(data).decode()


def in_payload(value: dict[str, Any]) -> None:
    envelope = value["dsseEnvelope"]
    # In a digest, so that what is read stays a statement.
    at = base64.b64decode(envelope["payload"]).index(b"a" * 64)
    envelope["payload"] = flipped(envelope["payload"], at=at + 5)


def in_signature(value: dict[str, Any]) -> None:
    (signature,) = value["dsseEnvelope"]["signatures"]
    signature["sig"] = flipped(signature["sig"], at=-1)


def in_type(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["payloadType"] = IN_TOTO.replace("json", "jsnn")


FLIPS: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "payload": in_payload,
    "signature": in_signature,
    "payload type": in_type,
}


@pytest.fixture
def spoilt(request: pytest.FixtureRequest) -> dict[str, Any]:
    value = bundle()
    FLIPS[request.param](value)
    return value


def verify_with_securesystemslib(value: dict[str, Any]) -> dict[str, Any]:
    envelope = Envelope.from_dict(json.loads(json.dumps(value["dsseEnvelope"])))
    found: dict[str, Any] = envelope.verify([SSlibKey.from_crypto(KEY.public_key(), keyid=KEYID)], 1)
    return found


def test_securesystemslib_verifies_the_envelope() -> None:
    assert set(verify_with_securesystemslib(bundle())) == {KEYID}


@pytest.mark.parametrize("spoilt", FLIPS, indirect=True)
def test_securesystemslib_refuses_a_flipped_bit(spoilt: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        verify_with_securesystemslib(spoilt)


def read_with_in_toto(value: dict[str, Any]) -> Any:
    """The statement, once the envelope has verified; raises what the library raises."""
    verify_with_securesystemslib(value)
    proto = Parse(base64.b64decode(value["dsseEnvelope"]["payload"]), statement_pb2.Statement())
    statement = Statement.copy_from_pb(proto)
    statement.validate()
    return statement.pb


def test_in_toto_attestation_reads_the_statement() -> None:
    read = read_with_in_toto(bundle())
    assert read.predicate_type == PREDICATE_TYPE
    assert [(each.name, dict(each.digest)) for each in read.subject] == [
        (subject.name, {"sha256": subject.sha256}) for subject in SUBJECTS
    ]


@pytest.mark.parametrize("spoilt", FLIPS, indirect=True)
def test_in_toto_attestation_reads_nothing_of_a_flipped_bit(spoilt: dict[str, Any]) -> None:
    with pytest.raises((VerificationError, ParseError, ValueError)):
        read_with_in_toto(spoilt)


def test_npm_verifies_the_bundle_without_a_log(npm: SigstoreJs) -> None:
    assert npm.verify(bundle(), KEY.public_key()) == "verified"


@pytest.mark.parametrize("spoilt", FLIPS, indirect=True)
def test_npm_refuses_a_flipped_bit(npm: SigstoreJs, spoilt: dict[str, Any]) -> None:
    assert npm.verify(spoilt, KEY.public_key()) == "SIGNATURE_ERROR"
