# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from signer.errors import Refused
from signer.tlog.merkle import (
    EMPTY_ROOT,
    Edge,
    Prover,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tests.unit.tlog import naive_tree

LARGEST = 70
ENTRIES = [b"entry %d" % index for index in range(LARGEST)]
SIZES = st.integers(1, LARGEST)


def node(level: int, n: int) -> bytes:
    return naive_tree.root(ENTRIES[n << level : (n + 1) << level])


def prover(size: int) -> Prover:
    return Prover(size, node=node)


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


def refuses(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except Refused as fault:
        return fault.code == "proof-invalid"
    return False


def test_the_constants_of_the_specification() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"ab") != node_hash(b"a", b"b")


@pytest.mark.parametrize("size", range(9))
def test_edge_and_prover_make_the_root_of_the_definition(size: int) -> None:
    edge = Edge(0, ())
    for entry in ENTRIES[:size]:
        edge = edge.append(leaf_hash(entry))
    assert edge.size == size
    assert edge.root() == prover(size).root == naive_tree.root(ENTRIES[:size])


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(1, ()), (3, (bytes(32),)), (2, (bytes(32), bytes(32))), (1, (bytes(31),)), (0, (bytes(32),))],
    ids=["no hash", "one too few", "one too many", "a short hash", "a hash of nothing"],
)
def test_an_edge_fits_its_size(size: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="edge of size"):
        Edge(size, hashes)


@given(size=SIZES, data=st.data())
def test_inclusion_proofs_are_those_of_the_definition_and_verify(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    made = prover(size).inclusion(index)
    assert list(made) == naive_tree.path(index, ENTRIES[:size])
    verify_inclusion(leaf_hash(ENTRIES[index]), index, size, made, naive_tree.root(ENTRIES[:size]))


@given(size=SIZES, data=st.data())
def test_consistency_proofs_are_those_of_the_definition_and_verify(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    made = prover(size).consistency(old)
    assert list(made) == naive_tree.proof(old, ENTRIES[:size])
    verify_consistency(old, size, made, naive_tree.root(ENTRIES[:old]), naive_tree.root(ENTRIES[:size]))


@given(size=st.integers(2, LARGEST), bit=st.integers(0, 255), data=st.data())
def test_one_flipped_bit_in_an_inclusion_proof_is_refused(size: int, bit: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = leaf_hash(ENTRIES[index]), prover(size).inclusion(index), naive_tree.root(ENTRIES[:size])
    at = data.draw(st.integers(0, len(proof) - 1))
    spoiled = (*proof[:at], flipped(proof[at], bit), *proof[at + 1 :])
    assert refuses(lambda: verify_inclusion(leaf, index, size, spoiled, root))
    assert refuses(lambda: verify_inclusion(flipped(leaf, bit), index, size, proof, root))
    assert refuses(lambda: verify_inclusion(leaf, index, size, proof, flipped(root, bit)))


@given(size=SIZES, data=st.data())
def test_an_inclusion_proof_of_another_length_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = leaf_hash(ENTRIES[index]), prover(size).inclusion(index), naive_tree.root(ENTRIES[:size])
    for spoiled in (
        (*proof, bytes(32)),
        (bytes(32), *proof),
        (*proof, root),
        *([proof[1:], proof[:-1]] if proof else []),
    ):
        assert refuses(lambda spoiled=spoiled: verify_inclusion(leaf, index, size, spoiled, root))  # type: ignore[misc] # bound now


@given(size=SIZES, data=st.data())
def test_an_inclusion_proof_fits_one_index_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, 2 * LARGEST).filter(lambda each: each != index))
    leaf, proof, root = leaf_hash(ENTRIES[index]), prover(size).inclusion(index), naive_tree.root(ENTRIES[:size])
    assert refuses(lambda: verify_inclusion(leaf, other, size, proof, root))


@given(size=SIZES, other=st.integers(-1, 2 * LARGEST), data=st.data())
def test_an_inclusion_proof_fits_another_size_only_where_the_paths_have_one_shape(
    size: int, other: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = leaf_hash(ENTRIES[index]), prover(size).inclusion(index), naive_tree.root(ENTRIES[:size])
    fits = index < other and naive_tree.sides(index, other) == naive_tree.sides(index, size)
    # Which size it is, the signed checkpoint says; the proof alone cannot.
    assert refuses(lambda: verify_inclusion(leaf, index, other, proof, root)) is not fits


@given(size=st.integers(2, LARGEST), bit=st.integers(0, 255), data=st.data())
def test_one_flipped_bit_in_a_consistency_proof_is_refused(size: int, bit: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    proof = prover(size).consistency(old)
    before, after = naive_tree.root(ENTRIES[:old]), naive_tree.root(ENTRIES[:size])
    at = data.draw(st.integers(0, len(proof) - 1))
    spoiled = (*proof[:at], flipped(proof[at], bit), *proof[at + 1 :])
    assert refuses(lambda: verify_consistency(old, size, spoiled, before, after))
    assert refuses(lambda: verify_consistency(old, size, proof, flipped(before, bit), after))
    assert refuses(lambda: verify_consistency(old, size, proof, before, flipped(after, bit)))
    assert refuses(lambda: verify_consistency(old, size, proof, after, before))


@given(size=SIZES, data=st.data())
def test_a_consistency_proof_of_another_length_is_refused(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    proof = prover(size).consistency(old)
    before, after = naive_tree.root(ENTRIES[:old]), naive_tree.root(ENTRIES[:size])
    for spoiled in ((*proof, bytes(32)), (bytes(32), *proof), *([proof[1:], proof[:-1]] if proof else [])):
        assert refuses(lambda spoiled=spoiled: verify_consistency(old, size, spoiled, before, after))  # type: ignore[misc] # bound now


@pytest.mark.parametrize(
    ("old", "size"),
    [(0, 0), (0, 1), (-1, 1), (2, 1), (1, 2**63)],
    ids=["both empty", "from empty", "below zero", "shrinks", "beyond 2^63-1"],
)
def test_sizes_that_cannot_be_compared_are_refused(old: int, size: int) -> None:
    assert refuses(lambda: verify_consistency(old, size, [], EMPTY_ROOT, EMPTY_ROOT))


def test_hashes_of_another_length_are_refused() -> None:
    leaf, other = leaf_hash(b"a"), leaf_hash(b"b")
    root = node_hash(leaf, other)
    assert refuses(lambda: verify_inclusion(leaf, 0, 2, [other[:31]], root))
    assert refuses(lambda: verify_inclusion(leaf[:31], 0, 2, [other], root))
    assert refuses(lambda: verify_inclusion(leaf, 0, 2, [other + b"\0"], root))
    assert refuses(lambda: verify_consistency(1, 2, [other + b"\0"], leaf, root))


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0)], ids=["below", "above", "empty tree"])
def test_no_proof_is_made_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        prover(size).inclusion(index)
    with pytest.raises(ValueError, match="no consistency proof"):
        prover(size).consistency(0)
