# SPDX-License-Identifier: Apache-2.0
"""Signatures of images and artifacts and timestamps, verified by npm's @sigstore/verify."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signer.formats.bundle import build_bundle, build_message_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.simple_signing import build_simple_signing
from signer.formats.spki import keyid, spki_der
from signer.formats.timestamp import build_request
from tests.conformance.sigstore_js import SigstoreJs
from tests.timestamp_authority import OwnAuthority
from tests.unit.formats.keys import p256

KEY = p256(52)
KEYID = keyid(spki_der(KEY.public_key()))
IMAGE = build_simple_signing(reference="registry.example.com/shop/api", sha256="9c" * 32, optional={})
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://x.example/v1"}'


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> SigstoreJs:
    """npm's @sigstore/verify."""
    return SigstoreJs.install(tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> OwnAuthority:
    return OwnAuthority(tmp_path_factory.mktemp("tsa"))


def signed(message: bytes) -> bytes:
    return KEY.sign(message, ec.ECDSA(hashes.SHA256()))


def message_bundle(data: bytes) -> Mapping[str, Any]:
    made: Mapping[str, Any] = json.loads(
        build_message_bundle(sha256=sha256_hex(data), keyid=KEYID, signature=signed(data))
    )
    return made


def statement(tsa: OwnAuthority, *, name: str = "tsa", over: bytes | None = None) -> Mapping[str, Any]:
    signature = signed(pae(IN_TOTO, STATEMENT))
    stamp = tsa.reply(build_request(signature if over is None else over).der, name=name)
    data = build_bundle(payload_type=IN_TOTO, payload=STATEMENT, keyid=KEYID, signature=signature, timestamps=(stamp,))
    made: Mapping[str, Any] = json.loads(data)
    return made


def trusted_root(tsa: OwnAuthority) -> Mapping[str, Any]:
    start = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    chain = [{"rawBytes": base64.b64encode(der).decode()} for der in tsa.chain]
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "timestampAuthorities": [
            {
                "subject": {"organization": "own", "commonName": "tsa"},
                "uri": "",
                "certChain": {"certificates": chain},
                "validFor": {"start": start},
            }
        ],
    }


@pytest.mark.parametrize("data", [IMAGE, b"the artifact"], ids=["image", "artifact"])
def test_npm_verifies_a_signature_over_the_bytes_and_over_no_others(npm: SigstoreJs, data: bytes) -> None:
    assert npm.verify(message_bundle(data), KEY.public_key(), artifact=data) == "verified"
    assert npm.verify(message_bundle(data), KEY.public_key(), artifact=data + b" ") == "SIGNATURE_ERROR"


def test_npm_verifies_the_timestamp_by_a_trusted_root_that_holds_the_authority(
    npm: SigstoreJs, tsa: OwnAuthority
) -> None:
    assert npm.verify(statement(tsa), KEY.public_key(), root=trusted_root(tsa)) == "verified"


@pytest.mark.parametrize(
    "change", [{"name": "foreign"}, {"over": b"another signature"}], ids=["by nobody", "over something else"]
)
def test_npm_refuses_a_timestamp_that_does_not_count(
    npm: SigstoreJs, tsa: OwnAuthority, change: dict[str, Any]
) -> None:
    assert npm.verify(statement(tsa, **change), KEY.public_key(), root=trusted_root(tsa)) != "verified"


def test_npm_without_the_authority_refuses_a_timestamped_bundle(npm: SigstoreJs, tsa: OwnAuthority) -> None:
    """As our page says: a verifier that finds a timestamp and knows no authority may refuse the bundle."""
    assert npm.verify(statement(tsa), KEY.public_key()) == "TIMESTAMP_ERROR"
