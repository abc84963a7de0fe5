# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical
from signer.formats.dsse import encode_envelope, pae
from signer.formats.owner_act import (
    PAYLOAD_TYPE,
    OwnerAct,
    OwnerKey,
    owner_act_envelope,
    parse_owner_act,
    sign_owner_act,
    verify_owner_acts,
)
from signer.formats.spki import keyid, spki_der
from tests.unit.formats.keys import ed25519, p256

ACT = OwnerAct("policy", 2, "sign.example/authority", "a" * 64)
OWNERS: list[OwnerKey] = [p256(1), ed25519(2), p256(3)]
SPKIS = [spki_der(owner.public_key()) for owner in OWNERS]


def sign(*indices: int, act: OwnerAct = ACT) -> list[bytes]:
    return [sign_owner_act(act, OWNERS[index]) for index in indices]


def test_the_payload_is_canonical() -> None:
    assert ACT.payload() == (
        b'{"action":"policy","number":2,"origin":"sign.example/authority","sha256":"' + b"a" * 64 + b'"}'
    )


def test_enough_distinct_owners() -> None:
    kids = verify_owner_acts(sign(0, 1), act=ACT, owners=SPKIS, threshold=2)
    assert kids == tuple(sorted(keyid(der) for der in SPKIS[:2]))


def test_a_signature_made_by_a_device_counts() -> None:
    signature = p256(1).sign(ACT.to_be_signed(), ec.ECDSA(hashes.SHA256()))
    envelope = owner_act_envelope(ACT, key=p256(1).public_key(), signature=signature)
    assert len(verify_owner_acts([envelope], act=ACT, owners=SPKIS, threshold=1)) == 1


OTHER_TYPE = encode_envelope(
    "text/plain",
    ACT.payload(),
    [("", p256(1).sign(pae("text/plain", ACT.payload()), ec.ECDSA(hashes.SHA256())))],
)
TOO_FEW = [
    pytest.param([], id="nobody"),
    pytest.param(sign(0), id="one of two"),
    pytest.param(sign(0, 0, 0), id="E08 one owner three times"),
    pytest.param([*sign(0), sign_owner_act(ACT, p256(9))], id="an owner and a stranger"),
    pytest.param([*sign(0), *sign(1, act=replace(ACT, number=3))], id="another version"),
    pytest.param([*sign(0), *sign(1, act=replace(ACT, action="access"))], id="another action"),
    pytest.param([*sign(0), *sign(1, act=replace(ACT, origin="other.example"))], id="another ledger"),
    pytest.param([*sign(0), *sign(1, act=replace(ACT, sha256="b" * 64))], id="another document"),
    pytest.param([*sign(1), OTHER_TYPE], id="another payload type"),
]


@pytest.mark.parametrize("envelopes", TOO_FEW)
def test_too_few_owners(envelopes: list[bytes]) -> None:
    with pytest.raises(Refused) as refused:
        verify_owner_acts(envelopes, act=ACT, owners=SPKIS, threshold=2)
    assert refused.value.code == "owner-threshold"


@pytest.mark.parametrize(
    ("owners", "threshold"),
    [
        pytest.param(SPKIS, 0, id="E08 a threshold of zero"),
        pytest.param(SPKIS, -1, id="a negative threshold"),
        pytest.param(SPKIS, 4, id="more than there are owners"),
        pytest.param([SPKIS[0], SPKIS[0]], 2, id="one owner listed twice"),
        pytest.param([], 1, id="no owners"),
    ],
)
def test_a_threshold_that_cannot_be(owners: list[bytes], threshold: int) -> None:
    with pytest.raises(Refused):
        verify_owner_acts(sign(0, 1, 2), act=ACT, owners=owners, threshold=threshold)


def test_the_act_can_be_shown() -> None:
    assert parse_owner_act(sign(0)[0]) == ACT


def envelope(**changes: Any) -> bytes:
    body = {"action": "policy", "number": 2, "origin": "o", "sha256": "a" * 64, **changes}
    return encode_envelope(PAYLOAD_TYPE, canonical(body), [("", b"x")])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(envelope(action="key"), id="an unknown action"),
        pytest.param(envelope(number="2"), id="P07 a number that is text"),
        pytest.param(envelope(number=-1), id="a negative number"),
        pytest.param(envelope(sha256="A" * 64), id="P06 upper case"),
        pytest.param(envelope(extra=1), id="an unknown field"),
        pytest.param(encode_envelope("text/plain", b"{}", [("", b"x")]), id="another payload type"),
        pytest.param(b"{}", id="no envelope"),
    ],
)
def test_refuses_to_show(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_owner_act(data)
