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

    @property
    def hold(self) -> tuple[str, str, str, str] | None:
        """What an approval of this release names (I7): digest, environment, policy and set of cited evidence.

        None where several digests are asked for: nobody approves those at once.
        """
        if len(self.subjects) != 1:
            return None
        return (self.subjects[0].sha256, self.environment, self.ledger.policy_digest, cited(self.findings))


def held_by(approval: Approval) -> tuple[str, str, str, str]:
    """What an approval was given for, in the same order."""
    return (approval.sha256, approval.environment, approval.policy_digest, approval.cited)


def cited(findings: Iterable[Finding]) -> str:
    """Digest of the set of evidence that findings cite: evidence that no rule counts or refuses changes nothing.

    sha256 over the JSON array of the digests, sorted: `["77ab…","9f2c…"]`. Neither approvals nor rules in shadow are
    part of it.
    """
    digests = {digest for finding in findings if _gates(finding) for digest in finding.evidence}
    return sha256(json.dumps(sorted(digests), separators=(",", ":")).encode()).hexdigest()


def _gates(finding: Finding) -> bool:
    return finding.outcome is not Outcome.SHADOW and not finding.type.startswith("approval.")
