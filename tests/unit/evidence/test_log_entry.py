# SPDX-License-Identifier: Apache-2.0
"""An entry of kind `intoto` has to be about this envelope: a log vouches for its entry, not for what is beside it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from signer.evidence.keyless import _require_entry_about
from signer.formats.bundle import Bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import IN_TOTO, Envelope, EnvelopeSignature
from tests.unit.evidence.private_instance import certificate
from tests.unit.formats.keys import p256

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
CERTIFICATE, ANOTHER = (certificate(name, p256(45), None, NOW, days=1) for name in ("one", "another"))
PAYLOAD, SIGNATURE = b'{"_type":"x"}', b"signature"
BUNDLE = Bundle(Envelope(IN_TOTO, PAYLOAD, (EnvelopeSignature("", SIGNATURE),)), None)


def entry() -> dict[str, Any]:
    return {
        "apiVersion": "0.0.2",
        "kind": "intoto",
        "spec": {
            "content": {
                "envelope": {
                    "payloadType": IN_TOTO,
                    "signatures": [
                        {
                            "sig": b64encode(b64encode(SIGNATURE)).decode(),
                            "publicKey": b64encode(CERTIFICATE.public_bytes(Encoding.PEM)).decode(),
                        }
                    ],
                },
                "payloadHash": {"algorithm": "sha256", "value": sha256_hex(PAYLOAD)},
            }
        },
    }


def about(value: dict[str, Any]) -> None:
    _require_entry_about(json.dumps(value).encode(), BUNDLE, CERTIFICATE)


def test_the_entry_about_this_envelope_is_taken() -> None:
    about(entry())


def content(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["spec"]["content"]
    return found


FOREIGN: dict[str, Callable[[dict[str, Any]], object]] = {
    "another kind": lambda value: value.update(kind="dsse"),
    "another version": lambda value: value.update(apiVersion="0.0.1"),
    "another payload": lambda value: content(value)["payloadHash"].update(value=sha256_hex(b"another")),
    "another hash": lambda value: content(value)["payloadHash"].update(algorithm="sha1"),
    "another payload type": lambda value: content(value)["envelope"].update(payloadType="text/plain"),
    "another signature": lambda value: content(value)["envelope"]["signatures"][0].update(
        sig=b64encode(b64encode(b"another")).decode()
    ),
    "another certificate": lambda value: content(value)["envelope"]["signatures"][0].update(
        publicKey=b64encode(ANOTHER.public_bytes(Encoding.PEM)).decode()
    ),
    "a second signature": lambda value: content(value)["envelope"]["signatures"].append({}),
    "no signature": lambda value: content(value)["envelope"]["signatures"].clear(),
    "no payload hash": lambda value: content(value).pop("payloadHash"),
}


@pytest.mark.parametrize("spoil", FOREIGN.values(), ids=FOREIGN)
def test_an_entry_about_something_else_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    value = entry()
    spoil(value)
    with pytest.raises(Exception, match=r".") as refused:
        about(value)
    assert not isinstance(refused.value, AssertionError)
