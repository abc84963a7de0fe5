# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.bundle import MAX_PARTS, MEDIA_TYPE, MEDIA_TYPES, build_bundle, parse_bundle
from signer.formats.dsse import IN_TOTO


def changed(**changes: Any) -> bytes:
    body = json.loads(build_bundle(payload_type=IN_TOTO, payload=b"{}", keyid="kid", signature=b"sig"))
    body |= changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


@given(st.binary(max_size=64), st.text(max_size=20), st.binary(min_size=1, max_size=80))
def test_what_is_built_is_read_back(payload: bytes, keyid: str, signature: bytes) -> None:
    bundle = parse_bundle(build_bundle(payload_type=IN_TOTO, payload=payload, keyid=keyid, signature=signature))
    assert bundle.hint == keyid
    assert (bundle.envelope.payload_type, bundle.envelope.payload) == (IN_TOTO, payload)
    [entry] = bundle.envelope.signatures
    assert (entry.keyid, entry.sig) == (keyid, signature)


def test_the_hint_equals_the_keyid() -> None:
    body = json.loads(changed())
    assert body["mediaType"] == MEDIA_TYPE
    assert body["verificationMaterial"] == {"publicKey": {"hint": "kid"}, "tlogEntries": []}
    assert body["dsseEnvelope"]["signatures"][0]["keyid"] == "kid"


@pytest.mark.parametrize("media_type", sorted(MEDIA_TYPES))
def test_versions_0_1_to_0_3_are_read(media_type: str) -> None:
    assert parse_bundle(changed(mediaType=media_type)).hint == "kid"


@pytest.mark.parametrize(
    "material",
    [
        {"certificate": {"rawBytes": "MIIB"}, "tlogEntries": [{"logIndex": "123"}]},
        {"x509CertificateChain": {"certificates": [{"rawBytes": "MA=="}]}},
    ],
)
def test_a_certificate_gives_no_hint(material: dict[str, Any]) -> None:
    assert parse_bundle(changed(verificationMaterial=material)).hint is None


ENVELOPE = json.loads(changed())["dsseEnvelope"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"mediaType": "application/vnd.dev.sigstore.bundle.v0.4+json"}, id="an unknown version"),
        pytest.param({"mediaType": ...}, id="no media type"),
        pytest.param({"dsseEnvelope": ..., "messageSignature": {"signature": "AA=="}}, id="a signature over a blob"),
        pytest.param({"verificationMaterial": ...}, id="no verification material"),
        pytest.param({"verificationMaterial": {}}, id="no key"),
        pytest.param(
            {"verificationMaterial": {"publicKey": {"hint": "a"}, "certificate": {"rawBytes": ""}}},
            id="key and certificate",
        ),
        pytest.param(
            {"dsseEnvelope": {**ENVELOPE, "signatures": ENVELOPE["signatures"] * 2}}, id="trap 24: two signatures"
        ),
        pytest.param({"dsseEnvelope": {**ENVELOPE, "signatures": []}}, id="no signature"),
        pytest.param({"dsseEnvelope": []}, id="an envelope that is a list"),
    ],
)
def test_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        parse_bundle(changed(**changes))
    assert refused.value.code == "evidence-invalid"


def crowded(count: int) -> list[dict[str, Any]]:
    return [
        {"x509CertificateChain": {"certificates": [{"rawBytes": "MA=="}] * count}},
        {"certificate": {"rawBytes": "MA=="}, "tlogEntries": [{}] * count},
        {
            "certificate": {"rawBytes": "MA=="},
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "MA=="}] * count},
        },
    ]


@pytest.mark.parametrize(
    ("few", "many"), [*zip(crowded(MAX_PARTS), crowded(MAX_PARTS + 1), strict=True)], ids=["chain", "entries", "stamps"]
)
def test_parts_are_counted(few: dict[str, Any], many: dict[str, Any]) -> None:
    assert parse_bundle(changed(verificationMaterial=few)).certificate == b"0"
    with pytest.raises(Malformed) as refused:
        parse_bundle(changed(verificationMaterial=many))
    assert refused.value.code == "too-large"
