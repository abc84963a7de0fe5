# SPDX-License-Identifier: Apache-2.0
"""RFC 6962 §2.1 once more, as its definitions stand: slow, recursive, sharing nothing with the product."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def root(entries: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if len(entries) == 0:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return sha256(b"\x01" + root(entries[:k]) + root(entries[k:])).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return [*path(index, entries[:k]), root(entries[k:])]
    return [*path(index - k, entries[k:]), root(entries[:k])]


def proof(old: int, entries: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return subproof(old, entries, whole=True)


def subproof(old: int, entries: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if old == len(entries):
        return [] if whole else [root(entries)]
    k = split(len(entries))
    if old <= k:
        return [*subproof(old, entries[:k], whole=whole), root(entries[k:])]
    return [*subproof(old - k, entries[k:], whole=False), root(entries[:k])]


def sides(index: int, size: int) -> list[str]:
    """On which side each sibling of PATH stands, from the leaf upward: the shape of an inclusion proof."""
    if size == 1:
        return []
    k = split(size)
    return [*sides(index, k), "right"] if index < k else [*sides(index - k, size - k), "left"]


def split(size: int) -> int:
    """The largest power of two below `size`."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k
