# SPDX-License-Identifier: Apache-2.0
"""Has the authority taken back what it signed: the revocation list against one verified bundle.

A compromised key may have signed anything with any date in it. What it signed counts only where a receipt proves
that the ledger recorded it before the key was reported, for an instant before somebody else may have had it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.domain.subject import Subject
from signer.errors import Refused
from signer.formats.revocations import RevocationList, RevokedKey, read_revocations
from signer.formats.rfc3339 import format_time
from signer.formats.trust import TrustDocument
from signer.verify.bundle import VerifiedBundle
from signer.verify.checks import Checklist, OneCheck
from signer.verify.receipt import VerifiedReceipt
from signer.verify.trust import ledger_keys

SKEW = timedelta(minutes=5)
"""How far the clock of the authority may be ahead of the verifier's."""


def verify_revocations(
    data: bytes,
    *,
    trust: TrustDocument,
    bundle: VerifiedBundle,
    receipt: VerifiedReceipt | None,
    subjects: Iterable[Subject],
    now: datetime,
    checks: Checklist,
) -> RevocationList:
    """The list in `data` when it is current and takes back nothing of this release; raises CheckFailed.

    `subjects` are those that the caller asks about: a bundle may hold others, which were taken back alone.
    """
    listed = verify_list(data, trust=trust, now=now, checks=checks)
    with checks.check("the release is not revoked", code="release-revoked") as check:
        for subject in subjects:
            taken = listed.release(subject.sha256, policy=bundle.policy, environment=bundle.environment)
            check.require(
                taken is None,
                expected=f"a release that was not taken back for {bundle.environment}",
                found="" if taken is None else f"sha256:{taken.sha256} taken back at leaf {taken.leaf}: {taken.reason}",
                remedy="do not deploy it; where it runs, roll back: build a corrected artifact",
            )
        check.found = "not in the list"
    with checks.check("the key is not revoked", code="key-revoked") as check:
        entry = listed.key(bundle.key.kid)
        if entry is None:
            check.found = f"{bundle.key.name} is not in the list"
        else:
            _require_older(entry, bundle=bundle, receipt=receipt, check=check)
    return listed


def verify_list(data: bytes, *, trust: TrustDocument, now: datetime | None, checks: Checklist) -> RevocationList:
    """The list in `data`, by the ledger key of `trust` and current at `now`; raises CheckFailed.

    With None the list may be past its end, as one that was kept is.
    """
    with checks.check("revocation list is signed by the ledger key", code="revocations-invalid") as check:
        keys = [Ed25519PublicKey.from_public_bytes(key.public) for key in ledger_keys(trust)]
        listed = read_revocations(data, keys)
        if (listed.origin, listed.genesis) != (trust.origin, trust.genesis):
            raise Refused("revocations-foreign", "the revocation list speaks of another ledger")
        check.found = f"{len(listed.entries)} entries at size {listed.size}"
    if now is not None:
        with checks.check("revocation list is current", code="revocations-stale") as check:
            check.require(
                listed.issued <= now + SKEW and now < listed.next_update,
                expected=f"a list for {format_time(now)}",
                found=f"issued {format_time(listed.issued)}, replaced by {format_time(listed.next_update)}",
                remedy="fetch the newest list from /v1/revocations",
            )
            check.found = f"until {format_time(listed.next_update)}"
    return listed


def _require_older(
    entry: RevokedKey, *, bundle: VerifiedBundle, receipt: VerifiedReceipt | None, check: OneCheck
) -> None:
    remedy = "do not use this release: the authority signs it again with another key"
    check.require(
        bundle.time < entry.since,
        expected=f"a signature before {format_time(entry.since)}",
        found=f"{format_time(bundle.time)}, and the key is compromised: {entry.reason}",
        remedy=remedy,
    )
    if receipt is None:
        raise check.failure(
            expected="a receipt: whoever has the key can write any date",
            found=f"none, and the key is compromised since {format_time(entry.since)}: {entry.reason}",
            remedy="add --receipt FILE, which proves when the ledger recorded it",
        )
    check.require(
        receipt.receipt.outcome.index < entry.leaf,
        expected=f"an outcome before leaf {entry.leaf}, which reported the key",
        found=f"leaf {receipt.receipt.outcome.index}",
        remedy=remedy,
    )
    check.found = f"recorded at leaf {receipt.receipt.outcome.index}, before the key was compromised"
