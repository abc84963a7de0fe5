# SPDX-License-Identifier: Apache-2.0
"""The committed tree, read from leaf hashes and the roots of full subtrees: tiles, nodes and proofs.

A proof in a tree of ten million leaves reads three tiles. Interior nodes are hashed from the tile that holds them,
once per proof.
"""

from __future__ import annotations

from sqlalchemy import Engine, bindparam, select

from signer.db import tables
from signer.db.statements import Connections, Statement
from signer.errors import Malformed, Misconfigured
from signer.tlog.merkle import Edge, Prover, parents
from signer.tlog.tiles import HEIGHT, WIDTH


class StoredTree:
    """Reads hashes of one engine; holds no state of its own."""

    def __init__(self, engine: Engine) -> None:
        self._connections = Connections(engine)
        leaf, subtree = tables.leaf.c, tables.subtree.c
        self._leaf_hashes = Statement(
            engine,
            select(leaf.hash).where(leaf.idx >= bindparam("start"), leaf.idx < bindparam("stop")).order_by(leaf.idx),
            ["start", "stop"],
        )
        self._subtree_hashes = Statement(
            engine,
            select(subtree.hash)
            .where(subtree.level == bindparam("level"), subtree.n >= bindparam("start"), subtree.n < bindparam("stop"))
            .order_by(subtree.n),
            ["level", "start", "stop"],
        )

    def tile(self, level: int, n: int, width: int) -> tuple[bytes, ...]:
        """Up to `width` hashes of the tile (level, n), fewer where the tree ends."""
        start, stop = n * WIDTH, n * WIDTH + width
        with self._connections.reading() as cursor:
            if level == 0:
                rows = self._leaf_hashes.run(cursor, start, stop).fetchall()
            else:
                rows = self._subtree_hashes.run(cursor, level, start, stop).fetchall()
        return tuple(row[0] for row in rows)

    def inclusion(self, index: int, size: int, *, head: Edge) -> tuple[bytes, ...]:
        """The inclusion proof of leaf `index` in the tree of `size`; raises Malformed outside the tree.

        `head` is the edge of the committed tree: in a tree of its size it spares the tiles at the right end.
        """
        if not 0 <= index < size <= head.size:
            raise Malformed("invalid-range", f"there is no leaf {index} in a committed tree of {size}")
        return Prover(size, node=_Nodes(self, head).at).inclusion(index)

    def consistency(self, old: int, size: int, *, head: Edge) -> tuple[bytes, ...]:
        """The consistency proof from `old` to `size`; raises Malformed unless 0 < old <= size, both committed."""
        if not 0 < old <= size <= head.size:
            raise Malformed("invalid-range", f"there is no consistency proof from {old} to {size}")
        return Prover(size, node=_Nodes(self, head).at).consistency(old)

    def edge(self, size: int) -> Edge:
        """The edge of the tree of `size`, hashed from what is stored."""
        nodes = _Nodes(self, Edge(0, ()))
        bits = (level for level in reversed(range(size.bit_length())) if size >> level & 1)
        return Edge(size, tuple(nodes.at(level, (size >> level) - 1) for level in bits))


class _Nodes:
    """Complete nodes for one proof: reads each tile once and hashes it upward as far as asked."""

    def __init__(self, tree: StoredTree, head: Edge) -> None:
        self._tree = tree
        self._tiles: dict[tuple[int, int], list[list[bytes]]] = {}
        levels = (level for level in reversed(range(head.size.bit_length())) if head.size >> level & 1)
        self._head = {(level, (head.size >> level) - 1): each for level, each in zip(levels, head.hashes, strict=True)}

    def at(self, level: int, n: int) -> bytes:
        known = self._head.get((level, n))
        if known is not None:
            return known
        tile_level, height = divmod(level, HEIGHT)
        tile, offset = divmod(n << height, WIDTH)
        levels = self._tiles.get((tile_level, tile))
        if levels is None:
            levels = self._tiles[tile_level, tile] = [list(self._tree.tile(tile_level, tile, WIDTH))]
        while len(levels) <= height:
            levels.append(parents(levels[-1]))
        try:
            return levels[height][offset >> height]
        except IndexError:
            raise Misconfigured(
                "ledger-damaged",
                f"the hash of node {n} at level {level} is missing",
                remedy="stop, keep the files as they are, and restore the ledger from a copy",
            ) from None
