# SPDX-License-Identifier: Apache-2.0
"""The revocation list: what it takes back is refused, and a list that cannot be relied on refuses everything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from signer.errors import Malformed, Refused
from signer.formats.revocations import (
    RevocationList,
    Revoked,
    RevokedKey,
    RevokedRelease,
    read_revocations,
    sign_revocations,
)
from signer.formats.spki import keyid
from signer.tlog.merkle import leaf_hash
from signer.verify.answer import VerifiedRelease, verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import CheckFailed
from tests.unit.verify.authority import LEDGER_KEY, NOW, RELEASE_KEY, SUBJECT, Authority, spki

DAY = timedelta(days=1)
KID = keyid(spki(RELEASE_KEY))
AUTHORITY = Authority()
RELEASE = AUTHORITY.release()
REPORTED = 3
"""The leaf that reports the key: after the outcome of the release, which is leaf 2."""


def revoked(**changes: Any) -> RevokedKey:
    entry = RevokedKey(
        kid=KID, name="release", since=NOW + DAY, leaf=REPORTED, time=NOW + 2 * DAY, reason="laptop stolen"
    )
    return replace(entry, **changes)


def revocations(*entries: Revoked, **changes: Any) -> RevocationList:
    listed = RevocationList(
        origin=AUTHORITY.origin,
        genesis=leaf_hash(AUTHORITY.bodies[0]).hex(),
        issued=NOW + 2 * DAY,
        next_update=NOW + 3 * DAY,
        size=REPORTED + 1,
        entries=entries,
    )
    return replace(listed, **changes)


def verify(
    listed: RevocationList | bytes,
    *,
    receipt: bool = True,
    at: timedelta = 2 * DAY,
    key: Ed25519PrivateKey = LEDGER_KEY,
) -> VerifiedRelease:
    return verify_release(
        RELEASE.trust,
        bundle=RELEASE.bundle,
        receipt=RELEASE.receipt if receipt else None,
        revocations=listed if isinstance(listed, bytes) else sign_revocations(listed, key),
        expect=Expectation(subjects=(SUBJECT,), now=NOW + at),
        allow_dev=False,
    )


def refused(code: str, call: Callable[[], object]) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def test_an_empty_list_takes_nothing_back() -> None:
    verified = verify(revocations())
    assert verified.revocations == revocations()
    assert verified.checks[-1].found == "release is not in the list"


def test_a_list_about_another_key_takes_nothing_back() -> None:
    assert verify(revocations(revoked(kid=keyid(b"another")))).revocations is not None


def test_what_the_ledger_recorded_before_the_compromise_still_counts() -> None:
    assert "before the key was compromised" in verify(revocations(revoked())).checks[-1].found


def test_without_a_receipt_nothing_proves_the_date_that_a_stolen_key_wrote() -> None:
    fault = refused("key-revoked", lambda: verify(revocations(revoked()), receipt=False))
    assert "--receipt" in fault.remedy
    assert "laptop stolen" in fault.found


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(revoked(since=NOW), id="signed at the instant of the compromise"),
        pytest.param(revoked(since=NOW - DAY), id="signed after the compromise"),
        pytest.param(revoked(leaf=2), id="recorded where the key was reported"),
        pytest.param(revoked(leaf=1), id="recorded after the key was reported"),
    ],
)
def test_what_a_compromised_key_may_have_signed_is_refused(entry: RevokedKey) -> None:
    refused("key-revoked", lambda: verify(revocations(entry)))


@pytest.mark.parametrize(
    ("at", "accepted"),
    [
        pytest.param(2 * DAY, True, id="when it was issued"),
        pytest.param(2 * DAY - timedelta(minutes=5), True, id="a clock five minutes behind"),
        pytest.param(2 * DAY - timedelta(minutes=6), False, id="a list from the future"),
        pytest.param(3 * DAY - timedelta(microseconds=1), True, id="the last instant"),
        pytest.param(3 * DAY, False, id="at its next update"),
        pytest.param(30 * DAY, False, id="a list that was kept for weeks"),
    ],
)
def test_a_list_counts_while_it_is_current(at: timedelta, *, accepted: bool) -> None:
    if accepted:
        assert verify(revocations(), at=at).revocations is not None
    else:
        assert "/v1/revocations" in refused("revocations-stale", lambda: verify(revocations(), at=at)).remedy


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        pytest.param(revocations(origin="other.example/authority"), "revocations-foreign", id="another authority"),
        pytest.param(revocations(genesis="00" * 32), "revocations-foreign", id="another ledger of that name"),
        pytest.param(revocations(genesis="none"), "malformed-revocations", id="no ledger"),
        pytest.param(revocations(issued=NOW + 4 * DAY), "malformed-revocations", id="ends before it begins"),
        pytest.param(revocations(revoked(leaf=4)), "malformed-revocations", id="a leaf beyond the ledger"),
        pytest.param(revocations(revoked(), revoked()), "malformed-revocations", id="one leaf twice"),
    ],
)
def test_a_list_that_cannot_be_relied_on_is_refused(listed: RevocationList, code: str) -> None:
    refused(code, lambda: verify(listed))


def test_a_list_by_a_stranger_is_refused() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32)
    refused("revocations-unsigned", lambda: verify(revocations(), key=stranger))


def test_the_same_list_gives_the_same_bytes() -> None:
    assert sign_revocations(revocations(revoked()), LEDGER_KEY) == sign_revocations(revocations(revoked()), LEDGER_KEY)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_list_is_refused_or_changes_nothing(at: int, bit: int) -> None:
    data = bytearray(sign_revocations(revocations(revoked()), LEDGER_KEY))
    data[at % len(data)] ^= 1 << bit
    keys = [LEDGER_KEY.public_key()]
    with contextlib.suppress(Malformed, Refused):
        # The key id of the envelope is only a hint; nothing else may change.
        assert read_revocations(bytes(data), keys) == revocations(revoked())


@given(data=st.binary(max_size=512))
def test_bytes_that_are_no_list_are_refused(data: bytes) -> None:
    with pytest.raises((Malformed, Refused)):
        read_revocations(data, [LEDGER_KEY.public_key()])


def taken_back(**changes: Any) -> RevokedRelease:
    entry = RevokedRelease(
        sha256=SUBJECT.sha256,
        policy="demo",
        environment="release",
        leaf=REPORTED,
        time=NOW + DAY,
        reason="backdoor found",
    )
    return replace(entry, **changes)


@pytest.mark.parametrize("environment", ["release", "*"])
def test_a_release_that_was_taken_back_is_refused_whenever_it_was_signed(environment: str) -> None:
    with pytest.raises(CheckFailed) as fault:
        verify(revocations(taken_back(environment=environment)))
    assert fault.value.code == "release-revoked"
    assert "backdoor found" in fault.value.found


@pytest.mark.parametrize(
    "changes", [{"sha256": "ab" * 32}, {"policy": "other"}, {"environment": "staging"}, {"policy": "*"}]
)
def test_what_was_taken_back_elsewhere_takes_nothing_here(changes: dict[str, Any]) -> None:
    assert verify(revocations(taken_back(**changes))).revocations is not None


def test_keys_and_releases_stand_in_one_list() -> None:
    listed = revocations(revoked(), taken_back(leaf=REPORTED + 1), size=REPORTED + 2)
    assert read_revocations(sign_revocations(listed, LEDGER_KEY), [LEDGER_KEY.public_key()]) == listed
