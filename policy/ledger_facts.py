# SPDX-License-Identifier: Apache-2.0
"""Facts of the ledger: what it holds of the requested digests, set by the custodian alone.

A rule that needs one of them and finds none is unknown; documents recorded before a field existed state none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from policy.decision import Offender


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """That a requested digest reached a stage: it was signed for it, or a deployment was recorded."""

    sha256: str
    environment: str
    at: datetime
    """The judged instant of the first ALLOW that was signed, or the recorded time of the first deployment."""
    leaf: str
    """Hexadecimal hash of the leaf that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What one person said of one hold, neither revoked nor used up (invariant I7)."""

    kind: Literal["approve", "reject", "cosign", "review"]
    person: str
    groups: tuple[str, ...]
    """Groups of the access document to which the person belonged when approving and belongs now."""
    hold: str
    """Request id of the hold decision, which fixes the next four."""
    sha256: str
    environment: str
    policy_digest: str
    cited: str
    """Digest of the set of evidence that the hold's findings cite, as `policy.release.cited` makes it."""
    at: datetime
    signed: bool
    """True: a statement signed by the person's registered approval key. False: recorded by a certificate."""
    answers: str | None
    """Digest of the six answers as the approver saw them (`policy.questions.digest_of`); None if not stated."""
    statement: str
    """sha256 of the approval's exact bytes."""
    reason: str = ""
    """Why, in the person's words; always there for a rejection since it is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """Somebody who may not approve this release, and why."""

    person: str
    role: Literal["author", "committer", "trigger", "requester"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDebt:
    """A release under break-glass that nobody has reviewed since."""

    sha256: str
    environment: str
    at: datetime
    leaf: str
    """Hexadecimal hash of the leaf that allowed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """What the ledger records of break-glass under this policy."""

    debts: tuple[ReviewDebt, ...]
    """Open review debts, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A recorded waiver that may speak of the requested subjects, as two people signed it."""

    digest: str
    """sha256 of the statement that they signed."""
    policy: str
    environment: str
    rules: tuple[str, ...]
    outcome: Literal["fail", "unknown"]
    """What the rule may have ended as."""
    offenders: tuple[Offender, ...]
    """What is excused; empty when the rule names none, and then `found` tells."""
    found: str | None
    """What the rule found, word for word."""
    digests: tuple[str, ...]
    """sha256 of the subjects that it is for; empty: the repositories tell."""
    repositories: tuple[str, ...]
    """Only for what trusted provenance says was built from one of these; empty: the digests tell."""
    requested_by: str
    approved_by: str
    not_before: datetime
    expires: datetime
    uses: int
    """How many ALLOW decisions relied on it before this one; not those that are given back to this request."""
    max_uses: int
    renewal: int
    """0 for the first of its sort, 1 for its first renewal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """What the ledger knows at the judged instant: the documents in force, and what it holds of these digests."""

    policy_digest: str
    access_digest: str
    personal_keys: tuple[str, ...] = ()
    """Names of keys in the policy's trust with which, by the access document, a person approves; sorted."""
    allowed: tuple[Reached, ...] = ()
    """The first signed ALLOW of each requested digest under a policy of this name, for each environment."""
    deployed: tuple[Reached, ...] = ()
    """The first recorded deployment of each requested digest to each environment."""
    approvals: tuple[Approval, ...] = ()
    """In the order of their leaves."""
    excluded: tuple[Excluded, ...] = ()
    """Beside those whom the evidence and the request name: for example who asked for the hold."""
    break_glass: BreakGlass | None = None
    """None: the ledger does not record break-glass, so nobody can tell whether a debt is open."""
    waivers: tuple[Waiver, ...] = ()
    """In the order in which they were recorded; an ended one is not among them."""
