# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of RFC 6962 §2.1 with SHA-256: hashes, proofs made, proofs verified.

    leaf = SHA-256(0x00 || entry)        node = SHA-256(0x01 || left || right)        empty = SHA-256("")

    level 2        d                     node (level, n) covers the leaves n*2^level … (n+1)*2^level - 1
    level 1     b     c     e            and is complete when all of them exist. The edge of a tree is its
    level 0    0 1   2 3   4 5   6       complete subtrees, largest first: here (d, e, leaf 6), size 7.

Verification follows RFC 9162 §2.1.3.2 and §2.1.4.2, whose trees are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from signer.errors import Refused
from signer.tlog.strict import HASH_BYTES, MAX_SIZE

EMPTY_ROOT = hashlib.sha256().digest()

Node: TypeAlias = Callable[[int, int], bytes]
"""Gives the hash of the complete node (level, n)."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry's bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parents(nodes: Sequence[bytes]) -> list[bytes]:
    """The complete nodes of the level above: one for each whole pair."""
    sha256 = hashlib.sha256
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)]


@dataclass(frozen=True, slots=True)
class Edge:
    """The complete subtrees of a tree, largest first: all that appending needs.

    There is one hash for each bit that is set in `size`; raises ValueError otherwise.
    """

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.hashes) != self.size.bit_count() or any(len(each) != HASH_BYTES for each in self.hashes):
            raise ValueError(f"an edge of size {self.size} needs {self.size.bit_count()} hashes of {HASH_BYTES} bytes")

    def append(self, leaf: bytes) -> Edge:
        """The edge after one more leaf hash."""
        hashes, size = list(self.hashes), self.size
        while size & 1:
            leaf = node_hash(hashes.pop(), leaf)
            size >>= 1
        return Edge(self.size + 1, (*hashes, leaf))

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, root = self.hashes
        for left in reversed(rest):
            root = node_hash(left, root)
        return root


class Prover:
    """Makes proofs in the tree of `size` leaves from its complete nodes.

    The right end of a level may be incomplete. There is at most one such node per level, so all of them are
    hashed once, here.
    """

    def __init__(self, size: int, *, node: Node) -> None:
        self.size = size
        self._node = node
        self._ragged: list[bytes | None] = [None]
        ragged: bytes | None = None
        for level in range(size.bit_length()):
            if size >> level & 1:
                last = node(level, (size >> level) - 1)
                ragged = last if ragged is None else node_hash(last, ragged)
            self._ragged.append(ragged)
        self.root = EMPTY_ROOT if ragged is None else ragged

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """The siblings of leaf `index`, from the leaf upward (RFC 6962 §2.1.1)."""
        if not 0 <= index < self.size:
            raise ValueError(f"no leaf {index} in a tree of {self.size}")
        proof = []
        for level in range((self.size - 1).bit_length()):
            sibling = self._at(level, index >> level ^ 1)
            if sibling is not None:
                proof.append(sibling)
        return tuple(proof)

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """The nodes that prove this tree an extension of its first `old` leaves (RFC 6962 §2.1.2)."""
        if not 0 < old <= self.size:
            raise ValueError(f"no consistency proof from {old} to {self.size}")
        if old == self.size:
            return ()
        # Start at the largest complete subtree that ends where the old tree ended.
        level = (~(old - 1) & old).bit_length() - 1
        proof = [self._node(level, old - 1 >> level)] if old & (old - 1) else []
        while self.size - 1 >> level:
            sibling = self._at(level, (old - 1 >> level) ^ 1)
            if sibling is not None:
                proof.append(sibling)
            level += 1
        return tuple(proof)

    def _at(self, level: int, n: int) -> bytes | None:
        """Node (level, n), complete or ragged; None right of the tree."""
        complete = self.size >> level
        if n < complete:
            return self._node(level, n)
        return self._ragged[level] if n == complete else None


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` (a leaf hash) is entry `index` of the tree; raises Refused (proof-invalid)."""
    _require(0 <= index < size <= MAX_SIZE, "the index is outside the tree")
    _require(all(len(each) == HASH_BYTES for each in (leaf, root, *proof)), "a hash is not 32 bytes long")
    here, last, computed = index, size - 1, leaf
    for sibling in proof:
        _require(last > 0, "the proof is too long")
        if here & 1 or here == last:
            computed = node_hash(sibling, computed)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        here, last = here >> 1, last >> 1
    _require(last == 0, "the proof is too short")
    _require(computed == root, "the proof leads to another root")


def verify_consistency(old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> None:
    """Check that the tree of `size` extends the tree of `old`; raises Refused (proof-invalid).

    Neither tree may be empty: every tree extends the empty one, so callers decide that case themselves.
    """
    _require(0 < old <= size <= MAX_SIZE, "the sizes cannot be compared")
    if old == size:
        _require(not proof, "the proof is too long")
        _require(old_root == root, "two roots of one size differ")
        return
    _require(all(len(each) == HASH_BYTES for each in (old_root, root, *proof)), "a hash is not 32 bytes long")
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    _require(bool(path), "the proof is too short")
    here, last = old - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old_computed = computed = path[0]
    for sibling in path[1:]:
        _require(last > 0, "the proof is too long")
        if here & 1 or here == last:
            old_computed, computed = node_hash(sibling, old_computed), node_hash(sibling, computed)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        here, last = here >> 1, last >> 1
    _require(last == 0, "the proof is too short")
    _require(old_computed == old_root, "the proof leads to another old root")
    _require(computed == root, "the proof leads to another root")


def _require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - a guard clause reads best with a bare condition
    if not holds:
        raise Refused("proof-invalid", f"the Merkle proof does not hold: {sentence}")
