# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given, strategies as st

from signer.tlog.merkle import Edge, leaf_hash
from signer.tlog.recent import RecentTree
from tests.unit.tlog import naive_tree

ENTRIES = [b"entry %d" % index for index in range(700)]
HASHES = [leaf_hash(entry) for entry in ENTRIES]


def edge(size: int) -> Edge:
    grown = Edge(0, ())
    for each in HASHES[:size]:
        grown = grown.append(each)
    return grown


@given(start=st.integers(0, 40), batches=st.lists(st.integers(1, 9), max_size=12), keep=st.integers(1, 30))
def test_recent_leaves_are_proved_and_older_ones_are_left_to_storage(start: int, batches: list[int], keep: int) -> None:
    tree, size = RecentTree(edge(start), keep=keep), start
    for count in batches:
        tree.extend(HASHES[size : size + count])
        size += count
        assert tree.size == size
        assert tree.edge() == edge(size)
        assert tree.root() == naive_tree.root(ENTRIES[:size])
        for index in range(size):
            proof = tree.inclusion(index)
            if proof is None:
                assert index < max(start, size - keep)
            else:
                assert list(proof) == naive_tree.path(index, ENTRIES[:size])


def test_roots_of_full_subtrees_are_given_once_when_they_fill_up() -> None:
    tree = RecentTree(Edge(0, ()))
    given_out = [each for at in range(0, 700, 100) for each in tree.extend(HASHES[at : at + 100])]
    assert given_out == [(1, 0, naive_tree.root(ENTRIES[:256])), (1, 1, naive_tree.root(ENTRIES[256:512]))]


def test_a_batch_may_fill_several_levels_at_once() -> None:
    tree = RecentTree(Edge(0, ()))
    subtrees = tree.extend([leaf_hash(b"")] * 65_536)
    assert [(level, n) for level, n, _ in subtrees] == [*((1, n) for n in range(256)), (2, 0)]
    assert tree.root() == subtrees[-1][2]


def test_memory_stays_bounded() -> None:
    tree = RecentTree(Edge(0, ()), keep=100)
    for _ in range(50):
        tree.extend(HASHES[:37])
    assert sum(len(nodes) for nodes in tree._nodes) < 2 * (2 * 100 + 37) + 64
