# SPDX-License-Identifier: Apache-2.0
"""RFC 3161 timestamps of a release: by an authority that the owners pin, over this signature, at a possible time.

What the authority attests is that the signature existed at its time. The judged instant lies before, by less than a
decision may take; so a key that was taken back later, or a clock of ours that went wrong, is found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from signer.errors import Refused
from signer.formats.rfc3339 import format_time
from signer.formats.timestamp import verify_timestamp
from signer.formats.trust import TrustDocument, TrustKey
from signer.verify.checks import Checklist, OneCheck
from signer.verify.keys import require_valid

NEAR = timedelta(minutes=10)
"""How far the authority's time may be from the judged instant: two clocks, and what a key call may take."""


@dataclass(frozen=True, slots=True)
class VerifiedTimestamp:
    """When the signature existed, and who says so."""

    authority: str
    time: datetime


def check_timestamps(
    responses: Sequence[bytes],
    *,
    signature: bytes,
    judged: datetime,
    key: TrustKey,
    trust: TrustDocument,
    required: bool,
    checks: Checklist,
) -> VerifiedTimestamp | None:
    """The timestamp over `signature`; None where there is none and none is required. Raises CheckFailed."""
    if not responses and not required:
        return None
    with checks.check("timestamp over the signature", code="timestamp-missing") as check:
        check.require(
            bool(responses),
            expected="an RFC 3161 timestamp",
            found="none",
            remedy="sign for an environment whose policy says timestamp: required",
        )
        verified = require_timestamp(check, responses, signature=signature, judged=judged, key=key, trust=trust)
        check.found = f"{format_time(verified.time)} by {verified.authority}"
    return verified


def require_timestamp(
    check: OneCheck,
    responses: Sequence[bytes],
    *,
    signature: bytes,
    judged: datetime,
    key: TrustKey,
    trust: TrustDocument,
) -> VerifiedTimestamp:
    """The one timestamp of a bundle, when it counts; raises CheckFailed."""
    check.require(
        len(responses) == 1, code="timestamp-invalid", expected="one timestamp", found=f"{len(responses)} timestamps"
    )
    verified = _verified(check, responses[0], signature=signature, trust=trust)
    check.require(
        abs(verified.time - judged) <= NEAR,
        code="timestamp-invalid",
        expected=f"a time within {NEAR} of {format_time(judged)}",
        found=format_time(verified.time),
    )
    require_valid(check, key, at=verified.time)
    return verified


def _verified(check: OneCheck, response: bytes, *, signature: bytes, trust: TrustDocument) -> VerifiedTimestamp:
    fault = "none"
    for authority in trust.timestamp_authorities:
        try:
            stamp = verify_timestamp(response, signature=signature, chain=authority.certificates)
        except Refused as refused:
            fault = refused.detail
            continue
        if authority.covers(stamp.time):
            return VerifiedTimestamp(authority.name, stamp.time)
        fault = f"{format_time(stamp.time)}, outside the window of {authority.name}"
    raise check.failure(
        code="timestamp-untrusted",
        expected="a timestamp by an authority of the trust file",
        found=fault,
        remedy="fetch the newest trust file: signer trust update",
    )
