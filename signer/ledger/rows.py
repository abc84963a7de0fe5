# SPDX-License-Identifier: Apache-2.0
"""What the reader answers: frozen rows, with aware times and whole values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from signer.ledger.leaves import DeploymentLeaf, PolicyRef, SignatureEntry


@dataclass(frozen=True, slots=True)
class HeadRow:
    """The tree that is committed."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A signed checkpoint; it may be published once the guard holds it or a later one."""

    size: int
    text: str


@dataclass(frozen=True, slots=True)
class ActiveDocument:
    """A policy or access document in force, and the leaf that activated it."""

    name: str
    version: int
    digest: str
    data: bytes
    leaf: int


@dataclass(frozen=True, slots=True)
class TrustRow:
    """The trust document in force: its sha256, and the trust file with the owners' signatures."""

    version: int
    digest: str
    file: bytes
    leaf: int


@dataclass(frozen=True, slots=True)
class IndexedEvidence:
    """Evidence that the ledger keeps; `leaf` and `position` are of its first receipt."""

    digest: str
    media_type: str
    kind: str
    size: int
    leaf: int
    position: int
    principal: str
    policy: str
    subjects: tuple[str, ...]

    @property
    def received(self) -> int:
        """Receipt order as one number, always above 0: smaller was received earlier."""
        return (self.leaf << 16) + self.position


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision leaf; `subjects`, `facts`, `findings` and `evidence` are digests of documents."""

    leaf: int
    request_id: str
    time: datetime
    principal: str
    policy: PolicyRef
    access: str
    environment: str
    verdict: str
    subjects: str
    facts: str
    findings: str
    evidence: str
    first: str
    count: int


@dataclass(frozen=True, slots=True)
class ShadowCount:
    """How often a rule in shadow, or with an empty `rule` a policy in shadow, would have ended so."""

    rule: str
    outcome: str
    flip: str
    """deny or allow where the recorded verdict was the other one, else empty."""
    count: int
    since: datetime
    """The instant of the first of these decisions."""


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """What a rule or a policy in shadow would have said of one decision."""

    digest: str
    rule: str
    decision: int
    outcome: str
    flip: str


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """The outcome of one allowed decision."""

    leaf: int
    decision: int
    request_id: str
    time: datetime
    status: str
    reason: str
    signatures: tuple[SignatureEntry, ...]


@dataclass(frozen=True, slots=True)
class SignedRow:
    """The first decision of a digest for one environment whose outcome is signed."""

    sha256: str
    environment: str
    time: datetime
    leaf: bytes
    """Hash of the decision leaf."""


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """What a principal last asked under one Idempotency-Key: `body` is the sha256 of the raw body."""

    body: str
    request_id: str
    decision_leaf: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An event in a key's life; `spki` is DER."""

    leaf: int
    event: str
    name: str
    kid: str
    purpose: str
    algorithm: str
    spki: bytes
    principal: str
    time: datetime
    succeeds: str
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class WaiverEndRow:
    """How a waiver ended before its time."""

    leaf: int
    reason: str
    principal: str
    time: datetime


@dataclass(frozen=True, slots=True)
class WaiverRow:
    """A recorded waiver; `statement` are the bytes that two people signed, `envelope` the digest of the envelope."""

    leaf: int
    digest: str
    envelope: str
    policy: str
    environment: str
    requester: str
    approver: str
    renewal: int
    principal: str
    time: datetime
    statement: bytes
    end: WaiverEndRow | None


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A decision that waits for people; the newest of a digest, environment and policy is the one that counts."""

    leaf: int
    request_id: str
    time: datetime
    principal: str
    sha256: str
    environment: str
    policy: str
    policy_digest: str
    cited: str
    answers: str
    closed: bool
    """Whether an ALLOW of the same digest, environment and policy came after it."""
    superseded: bool
    """Whether another hold of the same digest, environment and policy came after it."""


@dataclass(frozen=True, slots=True)
class ApprovalRevocationRow:
    """How an approval was taken back."""

    leaf: int
    reason: str
    principal: str
    time: datetime


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """What one person said of the hold at leaf `hold`; `statement` are its exact bytes."""

    leaf: int
    verb: str
    digest: str
    envelope: str
    kid: str
    hold: int
    person: str
    groups: tuple[str, ...]
    answers: str
    at: datetime
    principal: str
    statement: bytes
    revocation: ApprovalRevocationRow | None


@dataclass(frozen=True, slots=True)
class UseRow:
    """One ALLOW that rests on a waiver or an approval; `subjects` and `evidence` are digests of documents."""

    decision: int
    subjects: str
    environment: str
    policy_digest: str
    evidence: str
    status: str | None
    """Of the outcome; None while it is open."""


@dataclass(frozen=True, slots=True)
class DeployedRow:
    """The first recorded deployment of a digest to one environment; `leaf` is the hash of its leaf."""

    sha256: str
    environment: str
    time: datetime
    leaf: bytes


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A recorded deployment: where it stands, and what was told."""

    leaf: int
    body: DeploymentLeaf


@dataclass(frozen=True, slots=True)
class RevocationRow:
    """A release that was taken back."""

    leaf: int
    sha256: str
    policy: str
    environment: str
    reason: str
    principal: str
    time: datetime

    def covers(self, policy: str, environment: str) -> bool:
        """Whether a release under this policy, for this environment, is meant."""
        return self.policy == policy and self.environment in ("*", environment)


@dataclass(frozen=True, slots=True)
class HaltRow:
    """A halt that no resume has ended."""

    leaf: int
    reason: str
    principal: str
    time: datetime
