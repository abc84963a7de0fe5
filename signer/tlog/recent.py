# SPDX-License-Identifier: Apache-2.0
"""The young part of a growing tree, in memory: appends, roots and proofs of recent leaves without storage.

It starts from an edge and remembers each complete node made since, so every leaf appended after the start can
be proved in the current tree. Older leaves are forgotten in halves; their proofs come from tiles.
"""

from __future__ import annotations

from collections.abc import Sequence

from signer.tlog.merkle import Edge, Prover, node_hash
from signer.tlog.tiles import HEIGHT

KEEP = 4096
"""Leaves that stay provable at least."""


class RecentTree:
    """Complete nodes (level, n) with n >= base, per level; mutable, and thrown away after any doubt."""

    def __init__(self, edge: Edge, *, keep: int = KEEP) -> None:
        self.size = edge.size
        self._keep = keep
        self._first = edge.size
        hashes = list(edge.hashes)
        self._bases: list[int] = []
        self._nodes: list[list[bytes]] = []
        for level in range(edge.size.bit_length()):
            odd = edge.size >> level & 1
            self._bases.append((edge.size >> level) - odd)
            self._nodes.append([hashes.pop()] if odd else [])
        self._prover: Prover | None = None

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """Append leaf hashes; returns the new hashes of tile levels >= 1 as (tile level, n, hash)."""
        start, self.size, self._prover = self.size, self.size + len(leaves), None
        tiles: list[tuple[int, int, bytes]] = []
        level, fresh = 0, list(leaves)
        while fresh:
            if level == len(self._nodes):
                self._bases.append(0)
                self._nodes.append([])
            nodes, base = self._nodes[level], self._bases[level]
            nodes.extend(fresh)
            if level and level % HEIGHT == 0:
                tiles.extend((level // HEIGHT, (start >> level) + offset, each) for offset, each in enumerate(fresh))
            level += 1
            fresh = [
                node_hash(nodes[2 * n - base], nodes[2 * n + 1 - base])
                for n in range(start >> level, self.size >> level)
            ]
        if self.size - self._first > 2 * self._keep:
            self._forget(self.size - self._keep)
        return tiles

    def edge(self) -> Edge:
        """The edge of the current tree."""
        return Edge(
            self.size,
            tuple(
                self.node(level, (self.size >> level) - 1)
                for level in reversed(range(self.size.bit_length()))
                if self.size >> level & 1
            ),
        )

    def root(self) -> bytes:
        """The root of the current tree."""
        return self._proofs().root

    def inclusion(self, index: int) -> tuple[bytes, ...] | None:
        """The proof of leaf `index` in the current tree; None when the leaf is older than the memory."""
        return self._proofs().inclusion(index) if index >= self._first else None

    def node(self, level: int, n: int) -> bytes:
        """A complete node that is still remembered."""
        return self._nodes[level][n - self._bases[level]]

    def _proofs(self) -> Prover:
        if self._prover is None:
            self._prover = Prover(self.size, node=self.node)
        return self._prover

    def _forget(self, first: int) -> None:
        self._first = first
        for level, base in enumerate(self._bases):
            # The left sibling of the first kept node stays: proofs and the edge need it.
            kept = max(base, first >> level & ~1)
            del self._nodes[level][: kept - base]
            self._bases[level] = kept
