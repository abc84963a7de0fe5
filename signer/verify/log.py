# SPDX-License-Identifier: Apache-2.0
"""The whole ledger: every leaf hashed again, the root rebuilt, and the record consistent with itself.

checkpoint (signed) ── size, root ──▶ tile/entries/000 … ──▶ leaf hashes ──▶ root
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from policy.decision import Verdict
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
from signer.tlog.merkle import Edge, leaf_hash
from signer.tlog.tiles import WIDTH, Tile, parse_entries, tile_width
from signer.verify.checks import Checklist, OneCheck
from signer.verify.said import Said
from signer.verify.trust import ledger_keys

_HASH = 32


class LogSource(Protocol):
    """Where a ledger is read from: a directory of tiles, a server or a database. Nothing it gives is believed."""

    def checkpoint(self) -> bytes:
        """The newest checkpoint."""
        ...

    def tile(self, tile: Tile) -> bytes:
        """The bytes of one tile or entry bundle."""
        ...


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


class TileDirectory:
    """A ledger as files: `checkpoint` and `tile/…` below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def checkpoint(self) -> bytes:
        """The file `checkpoint`."""
        return (self._root / "checkpoint").read_bytes()

    def tile(self, tile: Tile) -> bytes:
        """The file of the tile; its path is made here and never read from the log."""
        return (self._root / tile.path()).read_bytes()


def verify_log(
    source: LogSource,
    *,
    trust: TrustDocument,
    checks: Checklist,
    earlier: tuple[bytes, ...] = (),
    progress: Progress | None = None,
) -> VerifiedLog:
    """Read all of a ledger and prove it; raises CheckFailed.

    `earlier` are checkpoints seen before (from receipts, or kept from the last run): the ledger must extend each.
    """
    keys = ledger_keys(trust)
    with checks.check("checkpoint is signed by the ledger key", code="checkpoint-invalid") as check:
        head = verify_checkpoint(source.checkpoint(), origin=trust.origin, keys=keys)
        check.found = f"{head.size} leaves"
    with checks.check("earlier checkpoints are not ahead", code="log-rollback") as check:
        seen = [verify_checkpoint(data, origin=trust.origin, keys=keys) for data in earlier]
        newest = max((checkpoint.size for checkpoint in seen), default=0)
        check.require(
            newest <= head.size,
            expected=f"at least {newest} leaves, as an earlier checkpoint says",
            found=f"{head.size}",
            remedy="leaves are gone: stop signing and restore the ledger",
        )
        check.found = f"{len(seen)} earlier checkpoint(s)"
    record = _Record()
    with checks.check("every leaf is well formed and in its tree", code="leaf-altered") as check:
        edge = Edge(0, ())
        roots = {checkpoint.size: edge.root() for checkpoint in (*seen, head)}
        for index, body in _leaves(source, head.size, check):
            hashed = leaf_hash(body)
            if index == 0:
                check.require(
                    hashed.hex() == trust.genesis,
                    code="genesis-mismatch",
                    expected=f"genesis {trust.genesis}",
                    found=hashed.hex(),
                )
            edge = edge.append(hashed)
            _follow(record, index, decode_leaf(body), trust, check)
            if edge.size in roots:
                roots[edge.size] = edge.root()
            if progress is not None and index % WIDTH == WIDTH - 1:
                progress(index + 1, head.size)
        check.found = f"{edge.size} leaves"
    with checks.check("root equals the checkpoint", code="root-mismatch") as check:
        for checkpoint in (*seen, head):
            check.require(
                roots[checkpoint.size] == checkpoint.root,
                expected=f"root {checkpoint.root.hex()} at size {checkpoint.size}",
                found=roots[checkpoint.size].hex(),
                remedy="the leaves are not those that the checkpoint was signed over",
            )
        check.found = head.root.hex()
    return VerifiedLog(checkpoint=head, leaves=dict(record.kinds), open_decisions=tuple(sorted(record.allowed)))


def _leaves(source: LogSource, size: int, check: OneCheck) -> Iterator[tuple[int, bytes]]:
    """All entries in order, each compared with its hash tile, so that the first altered leaf is named."""
    for n in range((size + WIDTH - 1) // WIDTH):
        width = tile_width(size, level=0, n=n)
        entries = parse_entries(source.tile(Tile(None, n, width)))
        hashes = source.tile(Tile(0, n, width))
        check.require(
            len(entries) == width and len(hashes) == width * _HASH,
            expected=f"{width} entries from leaf {n * WIDTH}",
            found=f"{len(entries)} entries and {len(hashes)} bytes of hashes",
        )
        for offset, body in enumerate(entries):
            index = n * WIDTH + offset
            stored = hashes[offset * _HASH : (offset + 1) * _HASH]
            check.require(
                leaf_hash(body) == stored,
                expected=f"leaf {index} with hash {stored.hex()}",
                found=leaf_hash(body).hex(),
            )
            yield index, body


def _follow(record: _Record, index: int, leaf: Leaf, trust: TrustDocument, check: OneCheck) -> None:
    """Compare a leaf with what the ledger said before it."""
    record.kinds[type(leaf).__name__.lower().removesuffix("leaf")] += 1
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
