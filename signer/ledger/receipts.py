# SPDX-License-Identifier: Apache-2.0
"""Receipts, made from the ledger alone: the same request gives the same bytes for ever.

Decision and outcome are proved in one tree, that of the first checkpoint which covers the outcome. Beside the writer
the proofs come from its memory; anywhere else, and whenever the request is replayed, they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from signer.errors import Malformed, Misconfigured
from signer.formats.receipt import PolicyVersion, ProvenLeaf, Receipt, ReceiptBundle, build_receipt
from signer.ledger.leaves import Decision, Outcome, decode_leaf
from signer.ledger.reader import Reader
from signer.ledger.rows import CheckpointRow
from signer.tlog.proof import encode_proof

SIGNED = "signed"


class Recent(Protocol):
    """The writer's memory of its last append."""

    def recent_checkpoint(self, leaf: int) -> CheckpointRow | None:
        """The first checkpoint that covers a leaf; None when it must be read."""

    def recent_inclusion(self, index: int, size: int) -> tuple[bytes, ...] | None:
        """The proof of a leaf in the tree of `size`; None when it must be read."""


@dataclass(frozen=True, slots=True)
class Receipts:
    """Makes receipts beside a writer, whose memory spares most proofs a read."""

    reader: Reader
    recent: Recent

    def __call__(self, request_id: str) -> bytes:
        """The receipt of a signed request, the same bytes as `receipt_for` gives."""
        return receipt_for(self.reader, request_id, recent=self.recent)


def receipt_for(reader: Reader, request_id: str, *, recent: Recent | None = None) -> bytes:
    """The receipt of a signed request; raises Malformed (not-found) when nothing was signed for it."""
    concluded = reader.concluded(request_id)
    if concluded is None:
        raise _not_signed()
    (decision_index, decision_body), (outcome_index, outcome_body) = concluded
    decision, outcome = decode_leaf(decision_body), decode_leaf(outcome_body)
    assert isinstance(decision, Decision)
    assert isinstance(outcome, Outcome)
    if outcome.status != SIGNED:
        raise _not_signed()
    checkpoint = None if recent is None else recent.recent_checkpoint(outcome_index)
    checkpoint = checkpoint or reader.checkpoint_covering(outcome_index)
    if checkpoint is None:
        raise Misconfigured(
            "ledger-damaged",
            f"no checkpoint covers leaf {outcome_index}",
            remedy="restore the ledger from a copy that passes `signer log verify`",
        )

    signed = (each.document for each in outcome.signatures if each.document is not None)
    documents = (decision.subjects, decision.findings, *signed)
    bundles = [(each.format, each.bundle) for each in outcome.signatures if each.bundle is not None]
    contents = reader.contents([*documents, *(digest for _, digest in bundles)])
    policy = decision.policy
    return build_receipt(
        Receipt(
            request_id=decision.request,
            environment=decision.environment,
            policy=PolicyVersion(policy.name, policy.version, policy.digest),
            decision=_proven(reader, recent, decision_index, decision_body, checkpoint),
            outcome=_proven(reader, recent, outcome_index, outcome_body, checkpoint),
            documents={digest: contents[digest] for digest in documents},
            bundles=tuple(ReceiptBundle(name, contents[digest]) for name, digest in bundles),
        )
    )


def _proven(reader: Reader, recent: Recent | None, index: int, body: bytes, checkpoint: CheckpointRow) -> ProvenLeaf:
    proof = None if recent is None else recent.recent_inclusion(index, checkpoint.size)
    if proof is None:
        proof = reader.inclusion(index, checkpoint.size)
    return ProvenLeaf(index, body, encode_proof(index, proof, checkpoint.text))


def _not_signed() -> Malformed:
    return Malformed("not-found", "no signature was made for this request")
