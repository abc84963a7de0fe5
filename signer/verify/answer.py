# SPDX-License-Identifier: Apache-2.0
"""The whole verification of one release: trust file, bundle and, when given, receipt and revocation list."""

from __future__ import annotations

from dataclasses import dataclass

from signer.formats.revocations import RevocationList
from signer.formats.trust import TrustDocument
from signer.verify.bundle import Expectation, VerifiedBundle, verify_bundle
from signer.verify.checks import Check, Checklist
from signer.verify.receipt import VerifiedReceipt, verify_receipt
from signer.verify.revocations import verify_revocations
from signer.verify.trust import verify_trust


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRelease:
    """What was verified and by which checks; `receipt` and `revocations` are None when none was given."""

    trust: TrustDocument
    bundle: VerifiedBundle
    receipt: VerifiedReceipt | None
    revocations: RevocationList | None
    checks: tuple[Check, ...]


def verify_release(
    trust: bytes,
    *,
    bundle: bytes,
    receipt: bytes | None,
    revocations: bytes | None = None,
    expect: Expectation,
    allow_dev: bool,
) -> VerifiedRelease:
    """Verify `bundle`, and what else is given, against the trust file's bytes; raises CheckFailed.

    With `revocations`, `expect.now` is the instant at which the list must be current.
    """
    if revocations is not None and expect.now is None:
        raise ValueError("name the instant at which the revocation list must be current")
    checks = Checklist()
    trusted = verify_trust(trust, checks=checks, allow_dev=allow_dev)
    verified = verify_bundle(bundle, trust=trusted, expect=expect, checks=checks)
    proven = None
    if receipt is not None:
        proven = verify_receipt(receipt, trust=trusted, bundle=verified, checks=checks)
    listed = None
    if revocations is not None and expect.now is not None:
        listed = verify_revocations(
            revocations,
            trust=trusted,
            bundle=verified,
            receipt=proven,
            subjects=expect.subjects,
            now=expect.now,
            checks=checks,
        )
    return VerifiedRelease(trust=trusted, bundle=verified, receipt=proven, revocations=listed, checks=checks.passed)
