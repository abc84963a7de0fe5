# SPDX-License-Identifier: Apache-2.0
"""Timestamps of a release: over this signature, by a pinned authority in its time, near the judged instant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signer.formats.bundle import build_bundle, parse_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.receipt import Receipt, ReceiptBundle
from signer.formats.rfc3339 import format_time
from signer.formats.timestamp import build_request
from signer.formats.trust import build_trust_document, parse_trust_document
from signer.formats.trust_authority import TimestampAuthority
from signer.ledger.leaves import Outcome
from signer.verify.answer import VerifiedRelease, verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import CheckFailed
from tests.timestamp_authority import OwnAuthority
from tests.unit.verify.authority import RELEASE_KEY, SUBJECT, Authority, Release, changed, trust_key

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> OwnAuthority:
    return OwnAuthority(tmp_path_factory.mktemp("tsa"))


def pinned(tsa: OwnAuthority, **changes: Any) -> TimestampAuthority:
    held = TimestampAuthority(name="tsa", certificates=tsa.chain, not_before=NOW - DAY, not_after=None)
    return replace(held, **changes)


def release(
    tsa: OwnAuthority,
    *,
    stamps: Callable[[bytes], tuple[bytes, ...]] | None = None,
    said: str = "granted",
    judged: datetime = NOW,
    authorities: tuple[TimestampAuthority, ...] | None = None,
    **key: Any,
) -> Release:
    """A release of this very moment with a timestamp; each argument alters one thing."""
    authority = Authority()
    bare = parse_bundle(authority.release(time=judged).bundle)
    (signature,) = bare.envelope.signatures
    taken = (tsa.reply(build_request(signature.sig).der),) if stamps is None else stamps(signature.sig)
    data = build_bundle(
        payload_type=bare.envelope.payload_type,
        payload=bare.envelope.payload,
        keyid=signature.keyid,
        signature=signature.sig,
        timestamps=taken,
    )

    def outcome(leaf: Outcome) -> Outcome:
        (entry,) = leaf.signatures
        stamped: Outcome = changed(signatures=(changed(bundle=sha256_hex(data), timestamp=said)(entry),))(leaf)
        return stamped

    def receipt(kept: Receipt) -> Receipt:
        return replace(kept, bundles=(ReceiptBundle("vsa", data),))

    made = authority.release(time=judged, decision=changed(time=format_time(judged)), outcome=outcome, receipt=receipt)
    listed = (pinned(tsa),) if authorities is None else authorities
    trusted = trust_key(RELEASE_KEY, **{"not_before": NOW - DAY, **key})
    return Release(
        trust=authority.trust(keys=(trusted,), timestamp_authorities=listed), bundle=data, receipt=made.receipt
    )


def verify(made: Release, *, receipt: bool = False, timestamp: bool = True) -> VerifiedRelease:
    return verify_release(
        made.trust,
        bundle=made.bundle,
        receipt=made.receipt if receipt else None,
        expect=Expectation(subjects=(SUBJECT,), timestamp=timestamp),
        allow_dev=False,
    )


def code_of(made: Release, *, timestamp: bool = True) -> str:
    with pytest.raises(CheckFailed) as caught:
        verify(made, timestamp=timestamp)
    return caught.value.code


def test_a_timestamp_is_found_and_its_time_told(tsa: OwnAuthority) -> None:
    stamp = verify(release(tsa)).bundle.timestamp
    assert stamp is not None
    assert (stamp.authority, abs(stamp.time - NOW) < timedelta(minutes=5)) == ("tsa", True)


def test_an_older_authority_goes_on_counting_for_its_own_time(tsa: OwnAuthority) -> None:
    ended = pinned(tsa, name="older", not_after=NOW + timedelta(minutes=5))
    stamp = verify(release(tsa, authorities=(ended, pinned(tsa, not_before=NOW + DAY)))).bundle.timestamp
    assert stamp is not None
    assert stamp.authority == "older"


@pytest.mark.parametrize("said", ["", "failed"])
def test_a_leaf_that_says_nothing_of_the_timestamp_in_the_bundle_proves_nothing(tsa: OwnAuthority, said: str) -> None:
    verify(release(tsa), receipt=False)
    with pytest.raises(CheckFailed) as caught:
        verify(release(tsa, said=said), receipt=True)
    assert caught.value.code == "outcome-mismatch"


def test_without_one_it_is_refused_where_one_is_demanded_and_nowhere_else(tsa: OwnAuthority) -> None:
    bare = release(tsa, stamps=lambda _: ())
    assert verify(bare, timestamp=False).bundle.timestamp is None
    assert code_of(bare) == "timestamp-missing"


SPOILT: dict[str, tuple[Callable[[OwnAuthority], Release], str]] = {
    "of another signature": (
        lambda tsa: release(tsa, stamps=lambda _: (tsa.reply(build_request(b"x").der),)),
        "timestamp-untrusted",
    ),
    "by an authority that nobody pins": (
        lambda tsa: release(tsa, stamps=lambda sig: (tsa.reply(build_request(sig).der, name="foreign"),)),
        "timestamp-untrusted",
    ),
    "rubbish": (lambda tsa: release(tsa, stamps=lambda _: (b"rubbish",)), "timestamp-untrusted"),
    "where the trust file pins none": (lambda tsa: release(tsa, authorities=()), "timestamp-untrusted"),
    "before the authority counts": (
        lambda tsa: release(tsa, authorities=(pinned(tsa, not_before=NOW + DAY),)),
        "timestamp-untrusted",
    ),
    "after the authority has ended": (
        lambda tsa: release(tsa, authorities=(pinned(tsa, not_after=NOW - timedelta(hours=1)),)),
        "timestamp-untrusted",
    ),
    "two of them": (
        lambda tsa: release(tsa, stamps=lambda sig: (tsa.reply(build_request(sig).der),) * 2),
        "timestamp-invalid",
    ),
    "far from the judged instant": (lambda tsa: release(tsa, judged=NOW - timedelta(hours=2)), "timestamp-invalid"),
    "after the key has ended": (
        lambda tsa: release(
            tsa, judged=NOW - timedelta(minutes=5), status="retired", not_after=NOW - timedelta(minutes=4)
        ),
        "key-not-valid",
    ),
}


@pytest.mark.parametrize(("make", "code"), SPOILT.values(), ids=SPOILT)
def test_one_that_does_not_count_is_refused_whether_it_is_demanded_or_not(
    tsa: OwnAuthority, make: Callable[[OwnAuthority], Release], code: str
) -> None:
    made = make(tsa)
    assert code_of(made, timestamp=True) == code_of(made, timestamp=False) == code


def test_a_trust_document_without_authorities_is_what_it_was_before_there_were_any(tsa: OwnAuthority) -> None:
    document = Authority().trust_document()
    assert b"timestamp" not in build_trust_document(document)
    pinning = replace(document, timestamp_authorities=(pinned(tsa, not_before=document.keys[0].not_before),))
    assert parse_trust_document(build_trust_document(pinning)) == pinning
