# SPDX-License-Identifier: Apache-2.0
"""What waits for one durable append, and what is told once it is durable.

Judged    a decision: allowed ones go on to the keys, the others are answered
Ended     the outcome of an allowed decision: its signatures may leave
Act       evidence kept, a document in force, a key recorded, a halt: answered by its leaf
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from policy import decision as verdicts
from policy.document import Policy
from policy.facts import Facts
from signer.custodian.commands import Failed, Idempotency, Reply
from signer.custodian.judged import read_sha256
from signer.custodian.payloads import Payload
from signer.custodian.token_events import JobEnded, Stamped
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused, SignerError, Unavailable
from signer.keys.keyring import PinnedKey
from signer.ledger.leaves import Decision
from signer.ledger.rows import HoldRow
from signer.ledger.sequencer import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One judgement with all that its payloads are built from."""

    policy: Policy
    subjects: tuple[Subject, ...]
    facts: Facts
    decision: verdicts.Decision
    evidence: tuple[str, ...]
    """Digests of all evidence considered, in receipt order."""
    time: datetime
    """The one instant of this decision."""
    leaf: Decision
    again: HoldRow | None = None
    """The recorded hold that this is once more."""


@dataclass(slots=True)
class Claim:
    """Who waits for one request: the first to ask, and those who sent the same again under the same key."""

    tickets: list[int]
    request_id: str
    key: tuple[str, str] | None = None
    """(principal, sha256 of the Idempotency-Key)."""
    body: str = ""

    @classmethod
    def of(cls, ticket: int, request_id: str, *, principal: str, idempotency: Idempotency | None) -> Claim:
        """The claim of one command; raises Malformed."""
        claim = cls([ticket], request_id)
        if idempotency is not None:
            claim.key, claim.body = (principal, read_sha256(idempotency.key)), read_sha256(idempotency.body)
        return claim

    def require_body(self, body: str) -> None:
        """One key belongs to one raw body; raises Refused("idempotency-conflict") for another one."""
        if body != self.body:
            raise Refused(
                "idempotency-conflict",
                "this Idempotency-Key was used for another request",
                remedy="use a new key for a new request",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamping:
    """How signatures are timestamped."""

    required: bool
    """Whether nothing is released without."""
    chains: tuple[tuple[bytes, ...], ...]
    """Pinned certificates, DER, of the authorities that count now; empty when none can be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What honours an ALLOW."""

    keys: Mapping[str, PinnedKey] = field(default_factory=dict)
    """The key of each format of the environment."""
    stamping: Stamping | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A decision leaf on its way to the ledger."""

    claim: Claim
    verdict: Verdict
    means: Means
    """What signs; nothing unless allowed."""
    begin_by: int
    """CLOCK_MONOTONIC nanoseconds after which no key may be called for it."""
    entries: tuple[Entry, ...]


@dataclass(slots=True, kw_only=True)
class Flight:
    """An allowed decision between its ALLOW leaf and its outcome leaf."""

    claim: Claim
    index: int
    """Leaf index of the decision."""
    outputs: tuple[tuple[Payload, PinnedKey], ...] = ()
    stamping: Stamping | None = None
    ended: dict[int, JobEnded] = field(default_factory=dict)
    """How each output's job ended, by its position."""
    stamped: dict[int, Stamped] = field(default_factory=dict)
    """The timestamp over each output's signature, by its position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An outcome leaf on its way to the ledger."""

    flight: Flight
    status: str
    reason: str
    detail: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Any other leaves on their way to the ledger; `reply` makes the answer from the index of the first."""

    ticket: int | None
    entries: tuple[Entry, ...]
    reply: Callable[[int], Reply]
    halts: bool = False
    stands: bool = True
    """Whether it changes what is in force."""


Record = Judged | Ended | Act


def failed(fault: SignerError) -> Failed:
    """An error as it stands on the wire."""
    match fault:
        case Malformed():
            family, retry_after = "malformed", 0
        case Refused():
            family, retry_after = "refused", 0
        case Unavailable():
            family, retry_after = "unavailable", fault.retry_after
        case _:
            family, retry_after = "unavailable", 1
    return Failed(family=family, code=fault.code, detail=fault.detail, remedy=fault.remedy, retry_after=retry_after)
