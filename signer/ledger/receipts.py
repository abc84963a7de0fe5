# SPDX-License-Identifier: Apache-2.0
"""Receipts, made from the ledger alone: the same request gives the same bytes for ever.

Decision and outcome are proved in one tree, that of the first checkpoint which covers the outcome. The custodian
gives what it holds in memory to `assemble`; a replay reads the same from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from signer.errors import Malformed, Misconfigured
from signer.formats.receipt import PolicyVersion, ProvenLeaf, Receipt, ReceiptBundle, build_receipt
from signer.ledger.leaves import Decision, Outcome, decode_leaf
from signer.ledger.reader import Reader
from signer.tlog.proof import encode_proof

SIGNED = "signed"


class Recent(Protocol):
    """The writer's memory of its last append."""

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
    decision = reader.decision(request_id)
    outcome = None if decision is None else reader.outcome(decision.leaf)
    if decision is None or outcome is None or outcome.status != SIGNED:
        raise Malformed("not-found", "no signature was made for this request")
    checkpoint = reader.checkpoint_covering(outcome.leaf)
    if checkpoint is None:
        raise _damaged(f"no checkpoint covers leaf {outcome.leaf}")
    size = checkpoint.size
    bundles = [each.bundle for each in outcome.signatures if each.bundle is not None]
    return assemble(
        decision=_proven(reader, recent, decision.leaf, size),
        outcome=_proven(reader, recent, outcome.leaf, size),
        checkpoint=checkpoint.text,
        documents={each: _document(reader, each) for each in (decision.subjects, decision.findings, *bundles)},
    )


def assemble(
    *,
    decision: tuple[int, bytes, Sequence[bytes]],
    outcome: tuple[int, bytes, Sequence[bytes]],
    checkpoint: str,
    documents: Mapping[str, bytes],
) -> bytes:
    """A receipt from its parts: index, bytes and inclusion proof of both leaves, the checkpoint of both proofs, and
    by their sha256 the subjects, the findings and the bundles that the leaves name.
    """
    decided, ended = decode_leaf(decision[1]), decode_leaf(outcome[1])
    if not isinstance(decided, Decision) or not isinstance(ended, Outcome) or ended.decision != decision[0]:
        raise ValueError("a receipt is of one decision and its own outcome")
    policy = decided.policy
    return build_receipt(
        Receipt(
            request_id=decided.request,
            environment=decided.environment,
            policy=PolicyVersion(policy.name, policy.version, policy.digest),
            decision=ProvenLeaf(decision[0], decision[1], encode_proof(decision[0], decision[2], checkpoint)),
            outcome=ProvenLeaf(outcome[0], outcome[1], encode_proof(outcome[0], outcome[2], checkpoint)),
            documents={each: documents[each] for each in (decided.subjects, decided.findings)},
            bundles=tuple(
                ReceiptBundle(each.format, documents[each.bundle])
                for each in ended.signatures
                if each.bundle is not None
            ),
        )
    )


def _proven(reader: Reader, recent: Recent | None, leaf: int, size: int) -> tuple[int, bytes, tuple[bytes, ...]]:
    proof = None if recent is None else recent.recent_inclusion(leaf, size)
    return leaf, reader.leaf(leaf), reader.inclusion(leaf, size) if proof is None else proof


def _document(reader: Reader, digest: str) -> bytes:
    document = reader.document(digest)
    if document is None:
        raise _damaged(f"the document {digest} that a leaf names is missing")
    return document.data


def _damaged(why: str) -> Misconfigured:
    return Misconfigured("ledger-damaged", why, remedy="restore the ledger from a copy that passes `signer log verify`")
