# SPDX-License-Identifier: Apache-2.0
"""What the authority asks of the rooms around it. Wiring hands in the ones that read disks and start processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from signer.custodian.release_commands import Sealed, SealPack
from signer.custodian.token_events import SigningJob, StampJob
from signer.errors import Unavailable
from signer.keys.keyring import KeyPlace, PinnedKey
from signer.ledger.documents import StoredDocument
from signer.ledger.rows import (
    ActiveDocument,
    ApprovalRow,
    DecisionRow,
    DeployedRow,
    HaltRow,
    HeadRow,
    HoldRow,
    IndexedEvidence,
    KeyRow,
    OutcomeRow,
    ReplayRow,
    RevocationRow,
    ShadowCount,
    SignedRow,
    TrustRow,
    UseRow,
    WaiverRow,
)
from signer.ledger.sequencer import Batch, Entry

if TYPE_CHECKING:
    from signer.custodian.standing import Standing


class Reader(Protocol):
    """The committed ledger, read. Every method raises Unavailable when the database fails."""

    def together(self) -> AbstractContextManager[None]:
        """All reads inside go over one connection; each of them sees what is committed then."""

    def head(self) -> HeadRow:
        """Size and root of the committed tree."""

    def leaf(self, index: int) -> bytes:
        """The stored bytes of one leaf."""

    def document(self, digest: str) -> StoredDocument | None:
        """A document by its sha256."""

    def active_all(self, document: str) -> tuple[ActiveDocument, ...]:
        """The newest version of each `policy` or `access` document."""

    def trust(self) -> TrustRow | None:
        """The newest trust file."""

    def evidence_for(self, subject_digests: Sequence[str]) -> tuple[IndexedEvidence, ...]:
        """Kept evidence that the index holds under any of these digests, in receipt order."""

    def evidence(self, digest: str) -> IndexedEvidence | None:
        """One piece of kept evidence by the sha256 of its bytes."""

    def decision(self, request_id: str) -> DecisionRow | None:
        """The decision of a request."""

    def decision_at(self, leaf: int) -> DecisionRow | None:
        """The decision that stands at one leaf."""

    def contents(self, digests: Sequence[str]) -> dict[str, bytes]:
        """The bytes of documents that leaves name; raises Misconfigured when one is missing."""

    def decisions_after(self, policy: str, leaf: int) -> tuple[DecisionRow, ...]:
        """The decisions of one policy after a leaf, oldest first, a page of them."""

    def last_shadowed(self, digest: str) -> int | None:
        """The last decision leaf that a policy in shadow was judged on."""

    def shadow_counts(self, digest: str) -> tuple[ShadowCount, ...]:
        """What was recorded of a policy in shadow, or of the rules in shadow of a policy."""

    def outcome(self, decision_leaf: int) -> OutcomeRow | None:
        """The outcome of an allow decision."""

    def first_signed(self, policy: str, sha256s: Sequence[str]) -> tuple[SignedRow, ...]:
        """The first signed decision of each digest for each environment."""

    def replay(self, principal: str, key_digest: str) -> ReplayRow | None:
        """What a principal used an idempotency key for last."""

    def keys(self) -> tuple[KeyRow, ...]:
        """All key events, oldest first."""

    def waivers(self) -> tuple[WaiverRow, ...]:
        """Every recorded waiver, oldest first."""

    def waiver_uses(self, digest: str) -> tuple[UseRow, ...]:
        """Every ALLOW that rests on a waiver, oldest first."""

    def deployment(self, identifier: str) -> int | None:
        """The leaf of the deployment with this id."""

    def first_deployed(self, policy: str, sha256s: Sequence[str]) -> tuple[DeployedRow, ...]:
        """The first recorded deployment of each digest to each environment."""

    def revocations(self) -> tuple[RevocationRow, ...]:
        """Every release that was taken back, in the order of the leaves."""

    def repositories(self, policy: str, sha256: str) -> tuple[str, ...]:
        """The repositories that decisions about a digest name."""

    def hold(self, request_id: str) -> HoldRow | None:
        """The hold that one request was answered with."""

    def newest_hold(self, policy: str, environment: str, sha256: str) -> HoldRow | None:
        """The last hold of a digest for an environment, under a policy of this name."""

    def approvals_of(self, hold: int) -> tuple[ApprovalRow, ...]:
        """What people said of the hold at a leaf, oldest first."""

    def approval(self, digest: str) -> ApprovalRow | None:
        """One approval by the digest of its statement."""

    def approval_uses(self, digest: str) -> tuple[UseRow, ...]:
        """Every ALLOW that rests on an approval, oldest first."""

    def key_use(self) -> Mapping[str, int]:
        """How often each key was called, by its key id."""

    def halted(self) -> HaltRow | None:
        """The halt in force."""

    def open_decisions(self) -> tuple[DecisionRow, ...]:
        """Allow decisions without an outcome, oldest first."""


class Sequencer(Protocol):
    """The only writer of the ledger."""

    def append(self, entries: Sequence[Entry]) -> Batch:
        """Make `entries` durable in one transaction and publish their checkpoint, or raise Unavailable."""


class Persons(Protocol):
    """The table of pseudonyms."""

    def pseudonym(self, person_id: str) -> str:
        """`person:<random>` for a person of the access document, durable before it returns."""


class Receipts(Protocol):
    """Receipts, made from the ledger alone."""

    def __call__(self, request_id: str) -> bytes:
        """The receipt of a signed request; the same bytes each time."""


class Tokens(Protocol):
    """The token workers."""

    def hindrance(self, key: PinnedKey) -> Unavailable | None:
        """Why a key cannot be used now, as the error to answer; None when it can, or soon can."""

    def submit(self, job: SigningJob) -> None:
        """Queue one job; its end comes back as an event."""

    def locate(self, ticket: int, place: KeyPlace, *, generate: bool) -> bool:
        """Look for, or make, a key; its SPKI comes back as an event. False when no such device is configured."""

    def stamp_hindrance(self) -> Unavailable | None:
        """Why no signature can be timestamped now; None when it can, or soon can."""

    def stamp(self, job: StampJob) -> None:
        """Have one signature timestamped; the end comes back as an event."""

    def set_stop(self, *, stopped: bool) -> None:
        """Stop all key calls at once, or let them go on."""

    def refuse(self, kids: Collection[str]) -> None:
        """Call the keys with these key ids no more; what is queued for them ends as failed."""


class Sealer(Protocol):
    """Makes and signs manifests of evidence packs."""

    def seal(self, command: SealPack, *, standing: Standing) -> Sealed:
        """The signed manifest; raises Malformed, Refused or Unavailable."""


class Clock(Protocol):
    """Time, handed in."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""

    def monotonic(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
