# SPDX-License-Identifier: Apache-2.0
"""The trust file: from bytes to what may be relied on."""

from __future__ import annotations

from signer.errors import Refused
from signer.formats.trust import TrustDocument, parse_trust_file, verify_trust_file
from signer.tlog.note import VerifierKey, parse_vkey
from signer.verify.checks import Checklist


def verify_trust(
    data: bytes, *, checks: Checklist, allow_dev: bool, previous: TrustDocument | None = None
) -> TrustDocument:
    """The trust document in `data`; raises CheckFailed.

    Without `previous` the file is judged by its own owners: it must have come from a trusted hand. With it, only
    the owners of the older one can publish the newer. A development authority is refused unless `allow_dev`.
    """
    with checks.check("trust file is signed by its owners", code="trust-invalid") as check:
        trust = verify_trust_file(parse_trust_file(data), previous=previous)
        if not all(key.name == trust.origin for key in ledger_keys(trust)):
            raise Refused("trust-invalid", "a ledger key has another name than the origin")
        check.found = f"version {trust.version} of {trust.origin}, threshold {trust.threshold}"
    with checks.check("authority is not for development", code="dev-untrusted") as check:
        check.require(
            allow_dev or not trust.dev,
            expected="a production authority",
            found=f"the development authority {trust.origin}",
            remedy="its signatures protect nothing; to try things out, add --allow-dev",
        )
        check.found = "development authority, allowed by the caller" if trust.dev else "production authority"
    return trust


def ledger_keys(trust: TrustDocument) -> tuple[VerifierKey, ...]:
    """The keys that sign the ledger's checkpoints; raises Malformed."""
    return tuple(parse_vkey(text) for text in trust.ledger_keys)
