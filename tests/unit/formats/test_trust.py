# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.errors import Malformed, Refused
from signer.formats.owner_act import OwnerKey, sign_owner_act
from signer.formats.spki import keyid, spki_der
from signer.formats.strict_base64 import encode_base64
from signer.formats.trust import (
    TrustDocument,
    TrustKey,
    build_trust_document,
    encode_trust_file,
    parse_trust_document,
    parse_trust_file,
    trust_act,
    verify_trust_file,
)
from tests.unit.formats.keys import ed25519, p256

OLD: list[OwnerKey] = [p256(1), ed25519(1)]
NEW: list[OwnerKey] = [p256(2), ed25519(2)]
SPKI = spki_der(p256(7).public_key())


def spkis(owners: list[OwnerKey]) -> tuple[bytes, ...]:
    return tuple(spki_der(owner.public_key()) for owner in owners)


KEY = TrustKey(
    name="release",
    kid=keyid(SPKI),
    spki=SPKI,
    purpose=Purpose.STATEMENT,
    algorithm=Algorithm.ECDSA_P256,
    status="active",
    not_before=datetime(2026, 11, 23, 10, tzinfo=UTC),
    not_after=None,
)
FIRST = TrustDocument(
    version=1,
    origin="sign.example/authority",
    genesis="0" * 64,
    dev=False,
    verifier="https://sign.example/authority",
    ledger_keys=("sign.example/authority+00000000+AQ==",),
    threshold=2,
    owners=spkis(OLD),
    keys=(KEY,),
)
SECOND = replace(FIRST, version=2, owners=spkis(NEW), keys=(replace(KEY, status="retired", not_after=KEY.not_before),))


def file(trust: TrustDocument, owners: list[OwnerKey]) -> bytes:
    data = build_trust_document(trust)
    return encode_trust_file(data, [sign_owner_act(trust_act(data, trust), owner) for owner in owners])


def accept(data: bytes, previous: TrustDocument | None = None) -> TrustDocument:
    return verify_trust_file(parse_trust_file(data), previous=previous)


@pytest.mark.parametrize("trust", [FIRST, SECOND])
def test_what_is_built_is_read_back(trust: TrustDocument) -> None:
    assert parse_trust_document(build_trust_document(trust)) == trust


def test_the_first_file_is_decided_by_its_own_owners() -> None:
    assert accept(file(FIRST, OLD)) == FIRST


def test_a_newer_file_is_decided_by_the_older_owners() -> None:
    assert accept(file(SECOND, OLD), FIRST) == SECOND


def test_a_version_may_be_skipped() -> None:
    third = replace(SECOND, version=3)
    assert accept(file(third, OLD), FIRST) == third


def test_the_accepted_file_may_come_again() -> None:
    assert accept(file(SECOND, OLD), SECOND) == SECOND


def test_the_key_is_found_by_its_id() -> None:
    assert FIRST.key(KEY.kid) == KEY
    assert FIRST.key("other") is None


REFUSED = [
    pytest.param(file(FIRST, OLD[:1]), None, "owner-threshold", id="one of two owners"),
    pytest.param(file(FIRST, OLD[:1] * 2), None, "owner-threshold", id="one owner twice"),
    pytest.param(file(FIRST, NEW), None, "owner-threshold", id="strangers"),
    pytest.param(file(SECOND, NEW), FIRST, "owner-threshold", id="only the new owners"),
    pytest.param(file(FIRST, OLD), SECOND, "trust-rollback", id="an older version"),
    pytest.param(
        file(replace(SECOND, dev=False, keys=()), OLD), SECOND, "trust-rollback", id="the same version, other bytes"
    ),
    pytest.param(file(replace(SECOND, origin="evil.example"), OLD), FIRST, "trust-foreign", id="another origin"),
    pytest.param(file(replace(SECOND, genesis="1" * 64), OLD), FIRST, "trust-foreign", id="another genesis"),
    pytest.param(file(replace(SECOND, dev=True), OLD), FIRST, "trust-foreign", id="a dev ledger"),
]


@pytest.mark.parametrize(("data", "previous", "code"), REFUSED)
def test_refuses(data: bytes, previous: TrustDocument | None, code: str) -> None:
    with pytest.raises(Refused) as refused:
        accept(data, previous)
    assert refused.value.code == code


def test_a_changed_document_has_no_signatures() -> None:
    body = json.loads(file(FIRST, OLD))
    body["document"] = encode_base64(build_trust_document(replace(FIRST, verifier="https://evil.example")))
    with pytest.raises(Refused):
        accept(json.dumps(body).encode())


def document(**changes: Any) -> bytes:
    return json.dumps({**json.loads(build_trust_document(FIRST)), **changes}).encode()


def key(**changes: Any) -> dict[str, Any]:
    return {"keys": [{**json.loads(build_trust_document(FIRST))["keys"][0], **changes}]}


OWNER = encode_base64(FIRST.owners[0])
MALFORMED = [
    pytest.param(document(type="signing-authority/trust/v2"), id="another version of the format"),
    pytest.param(document(extra=1), id="an unknown field"),
    pytest.param(document(version=0), id="version 0"),
    pytest.param(document(version="1"), id="P07 a version that is text"),
    pytest.param(document(genesis="0" * 63), id="P06 a short genesis"),
    pytest.param(document(dev="no"), id="P07 a dev flag that is text"),
    pytest.param(document(ledger_keys=[]), id="no ledger key"),
    pytest.param(document(owners={"threshold": 0, "keys": [OWNER]}), id="E08 a threshold of zero"),
    pytest.param(document(owners={"threshold": 2, "keys": [OWNER]}), id="a threshold beyond the owners"),
    pytest.param(document(owners={"threshold": 1, "keys": [OWNER, OWNER]}), id="an owner listed twice"),
    pytest.param(document(owners={"threshold": 1, "keys": ["AAAA"]}), id="an owner that is no key"),
    pytest.param(document(**key(kid="x")), id="a key id that is not the key's"),
    pytest.param(document(**key(spki="AAAA")), id="a key that is none"),
    pytest.param(document(**key(status="maybe")), id="an unknown status"),
    pytest.param(document(**key(not_before=None)), id="no start"),
    pytest.param(document(**key(not_after="2026-11-23")), id="P11 a date alone"),
    pytest.param(document(keys=key()["keys"] * 2), id="a key listed twice"),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_refuses_the_document(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_trust_document(data)
