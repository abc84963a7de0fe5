# SPDX-License-Identifier: Apache-2.0
"""What a pack reads: the ledger, and the store of large documents beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from signer.domain.spooled import LARGE
from signer.errors import Malformed, Unavailable
from signer.ledger.documents import StoredDocument
from signer.ledger.rows import (
    ApprovalRow,
    CheckpointRow,
    DecisionRow,
    DeploymentRow,
    IndexedEvidence,
    KeyRow,
    OutcomeRow,
    RevocationRow,
    WaiverRow,
)


class Ledger(Protocol):
    """What is read of the ledger."""

    def latest_checkpoint(self) -> CheckpointRow | None:
        """The newest committed checkpoint."""

    def checkpoint_covering(self, leaf: int) -> CheckpointRow | None:
        """The first checkpoint whose tree holds this leaf."""

    def leaf(self, index: int) -> bytes:
        """The bytes of one leaf."""

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """The proof of a leaf in the tree of a size."""

    def document(self, digest: str) -> StoredDocument | None:
        """A document by its sha256."""

    def decisions(
        self, *, digest: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[DecisionRow, ...]:
        """Decisions about a digest, the newest first, before a leaf."""

    def outcome(self, decision_leaf: int) -> OutcomeRow | None:
        """How the signing of an allowed decision ended."""

    def evidence(self, digest: str) -> IndexedEvidence | None:
        """One piece of kept evidence."""

    def evidence_for(self, subject_digests: Sequence[str]) -> tuple[IndexedEvidence, ...]:
        """Kept evidence about any of these digests."""

    def deployments(
        self, *, digest: str | None = None, name: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[DeploymentRow, ...]:
        """Recorded deployments, the newest first, before a leaf."""

    def revocations(self) -> tuple[RevocationRow, ...]:
        """Every release that was taken back."""

    def waivers(self) -> tuple[WaiverRow, ...]:
        """Every recorded waiver."""

    def approvals_of(self, hold: int) -> tuple[ApprovalRow, ...]:
        """What people said of a hold, oldest first."""

    def access_leaves(self) -> tuple[int, ...]:
        """The leaves that put access documents in force, oldest first."""

    def keys(self) -> tuple[KeyRow, ...]:
        """Every key event, oldest first."""

    def activation_leaf(self, digest: str) -> int | None:
        """The leaf that put a document in force."""

    def trust_leaf(self, before: int) -> int | None:
        """The leaf of the trust file in force in the tree of a size."""

    def evidence_named(self, name: str) -> tuple[str, ...]:
        """Scans and approvals given elsewhere, by the name of what they speak of."""


class Store(Protocol):
    """Documents of more than 1 MiB."""

    def read(self, digest: str) -> bytes:
        """All bytes of one document."""

    def stream(self, digest: str) -> Iterator[bytes]:
        """The same in pieces."""


@dataclass(frozen=True, slots=True)
class Source:
    """The ledger and the store beside it, read."""

    ledger: Ledger
    store: Store | None

    def read(self, digest: str) -> bytes:
        """The bytes of a document or of evidence; raises Malformed("document-missing")."""
        document = self.ledger.document(digest)
        if document is not None:
            return document.data
        held = self.ledger.evidence(digest)
        if held is None or held.size <= LARGE or self.store is None:
            raise Malformed("document-missing", f"no document has the sha256 {digest[:64]}")
        return self.store.read(digest)

    def stream(self, digest: str) -> Iterator[bytes]:
        """The bytes of a large document in pieces; raises Unavailable when the store does not have it."""
        if self.store is None:
            raise Unavailable(
                "ledger-unavailable",
                "the ledger keeps large documents, and the settings do not say where",
                remedy="the operator sets [documents] again",
            )
        return self.store.stream(digest)
