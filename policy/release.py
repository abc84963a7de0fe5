# SPDX-License-Identifier: Apache-2.0
"""The release as rules of the deployment control see it: what was asked, what the ledger holds, what rules found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from policy.decision import Finding, Outcome
from policy.facts import SubjectFact
from policy.ledger_facts import Approval, LedgerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is to be released, and everything that was judged about it so far."""

    policy: str
    """Name of the policy."""
    environment: str
    submitter: str
    subjects: tuple[SubjectFact, ...]
    """All requested subjects."""
    ledger: LedgerFacts
    findings: tuple[Finding, ...] = ()
    """Of the rules of earlier stages, in the policy's order."""

    def given_for(self, approval: Approval) -> bool:
        """Whether `approval` was given for this digest, environment, policy and set of cited evidence (I7)."""
        return (
            len(self.subjects) == 1
            and approval.sha256 == self.subjects[0].sha256
            and approval.environment == self.environment
            and approval.policy_digest == self.ledger.policy_digest
            and approval.cited == cited(self.findings)
        )


def cited(findings: Iterable[Finding]) -> str:
    """Digest of the set of evidence that findings cite: evidence that no rule counts or refuses changes nothing.

    sha256 over the JSON array of the digests, sorted: `["77ab…","9f2c…"]`. Neither approvals nor rules in shadow are
    part of it.
    """
    digests = {digest for finding in findings if _gates(finding) for digest in finding.evidence}
    return sha256(json.dumps(sorted(digests), separators=(",", ":")).encode()).hexdigest()


def _gates(finding: Finding) -> bool:
    return finding.outcome is not Outcome.SHADOW and not finding.type.startswith("approval.")
