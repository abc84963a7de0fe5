# SPDX-License-Identifier: Apache-2.0
"""The whole ledger: every leaf hashed again, the root rebuilt, and the record consistent with itself.

checkpoint (signed) ── size, root ──▶ tile/entries/000 … ──▶ leaf hashes ──▶ root
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from policy.decision import Verdict
from signer.errors import Malformed
from signer.formats.trust import TrustDocument
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import (
    Activation,
    Decision,
    Evidence,
    Genesis,
    HaltLeaf,
    Key,
    Leaf,
    Outcome,
    ProbeLeaf,
    Refusal,
    ResumeLeaf,
    ShadowLeaf,
    Trust,
    WaiverEndLeaf,
    WaiverLeaf,
    decode_leaf,
)
from signer.tlog.checkpoint import Checkpoint, verify_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.tiles import WIDTH
from signer.verify.checks import Checklist, OneCheck
from signer.verify.proven import LogSource, ProvenLog
from signer.verify.said import Said
from signer.verify.trust import ledger_keys


class Progress(Protocol):
    """Is told how many leaves are done."""

    def __call__(self, done: int, size: int) -> None:
        """`done` of `size` leaves are verified."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLog:
    """A ledger whose checks all held."""

    checkpoint: Checkpoint
    leaves: Mapping[str, int]
    """How many leaves there are of each kind."""
    open_decisions: tuple[int, ...]
    """Leaves that allowed a release and have no outcome yet."""


@dataclass(slots=True)
class _Record:
    """What the leaves read so far say: enough to judge the next one."""

    kinds: Counter[str] = field(default_factory=Counter)
    allowed: dict[int, str] = field(default_factory=dict)
    """Index of each ALLOW leaf without outcome -> its request id."""
    said: Said = field(default_factory=Said)


def verify_log(
    source: LogSource,
    *,
    trust: TrustDocument,
    checks: Checklist,
    earlier: tuple[bytes, ...] = (),
    span: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> VerifiedLog:
    """Read a ledger and prove it; raises CheckFailed.

    `earlier` are checkpoints seen before (from receipts, or kept from the last run): the ledger must extend each.
    With `span` only the leaves from its first number to before its second are read and proven; what the record says
    of other leaves is then not judged.
    """
    keys = ledger_keys(trust)
    with checks.check("checkpoint is signed by the ledger key", code="checkpoint-invalid") as check:
        head = verify_checkpoint(source.checkpoint(), origin=trust.origin, keys=keys)
        check.found = f"{head.size} leaves"
    with checks.check("earlier checkpoints are not ahead", code="log-rollback") as check:
        seen = sorted(
            (verify_checkpoint(data, origin=trust.origin, keys=keys) for data in earlier), key=lambda each: each.size
        )
        newest = seen[-1].size if seen else 0
        check.require(
            newest <= head.size,
            expected=f"at least {newest} leaves, as an earlier checkpoint says",
            found=f"{head.size}",
            remedy="leaves are gone: stop signing and restore the ledger",
        )
        check.found = f"{len(seen)} earlier checkpoint(s)"
    start, stop = (0, head.size) if span is None else span
    log = ProvenLog(source, head)
    record = _Record()
    with checks.check("every leaf is well formed and in its tree", code="leaf-altered") as check:
        check.require(start < stop <= head.size, expected=f"a range within {head.size} leaves", found=f"{start}-{stop}")
        for index, body in log.leaves(start, stop, check=check):
            if index == 0:
                hashed = leaf_hash(body).hex()
                check.require(
                    hashed == trust.genesis, code="genesis-mismatch", expected=f"genesis {trust.genesis}", found=hashed
                )
            with _named(index, check):
                leaf = decode_leaf(body)
            if span is None:
                _follow(record, index, leaf, trust, check)
            else:
                record.kinds[_kind(leaf)] += 1
            if progress is not None and (index % WIDTH == WIDTH - 1 or index == stop - 1):
                progress(index + 1 - start, stop - start)
        check.found = f"{stop - start} leaves"
    with checks.check("root equals the checkpoint", code="root-mismatch") as check:
        _check_roots(log, seen, check)
        check.found = head.root.hex()
    return VerifiedLog(checkpoint=head, leaves=dict(record.kinds), open_decisions=tuple(sorted(record.allowed)))


def _check_roots(log: ProvenLog, seen: Sequence[Checkpoint], check: OneCheck) -> None:
    """Compare the roots of all checkpoints, the smallest first, so that the first that differs says where to look."""
    good = 0
    for checkpoint in (*seen, log.head):
        root = log.root(checkpoint.size)
        # No single leaf can be named here: whoever changed it hashed it again.
        check.require(
            root == checkpoint.root,
            expected=f"root {checkpoint.root.hex()} at size {checkpoint.size}",
            found=f"{root.hex()}: changed is one of the leaves {good} to {checkpoint.size - 1}",
            remedy="the leaves are not those that the checkpoint was signed over",
        )
        good = checkpoint.size


@contextmanager
def _named(index: int, check: OneCheck) -> Iterator[None]:
    """Say at which leaf it was that the bytes were no leaf."""
    try:
        yield
    except Malformed as fault:
        raise check.failure(code=fault.code, expected=f"leaf {index} well formed", found=fault.detail) from None


def _kind(leaf: Leaf) -> str:
    return type(leaf).__name__.lower().removesuffix("leaf")


def _follow(record: _Record, index: int, leaf: Leaf, trust: TrustDocument, check: OneCheck) -> None:
    """Compare a leaf with what the ledger said before it."""
    record.kinds[_kind(leaf)] += 1
    check.require(
        isinstance(leaf, Genesis) == (index == 0),
        code="genesis-mismatch",
        expected="a genesis as leaf 0 and nowhere else",
        found=f"{type(leaf).__name__} as leaf {index}",
    )
    match leaf:
        case Genesis():
            check.require(
                leaf.origin == trust.origin and leaf.dev == trust.dev,
                code="genesis-mismatch",
                expected=f"genesis of {trust.origin}",
                found=f"genesis of {leaf.origin!r}",
            )
        case Decision():
            if leaf.verdict == Verdict.ALLOW:
                record.allowed[index] = leaf.request
            record.said.decide(index, leaf, check)
        case Outcome():
            check.require(
                record.allowed.pop(leaf.decision, None) == leaf.request,
                code="outcome-without-decision",
                expected=f"an allowing decision at leaf {leaf.decision} for request {leaf.request!r}, still open",
                found=f"an outcome at leaf {index} without it",
            )
            record.said.end(leaf)
        case WaiverLeaf() | WaiverEndLeaf() | ApprovalLeaf() | ApprovalRevocationLeaf():
            record.said.hear(index, leaf, check)
        case Activation() | Refusal() | Trust() | Key() | Evidence() | HaltLeaf() | ResumeLeaf():
            pass
        case ShadowLeaf() | ProbeLeaf():
            pass
