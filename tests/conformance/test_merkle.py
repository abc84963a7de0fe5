# SPDX-License-Identifier: Apache-2.0
"""Merkle proofs that other hands made, good and bad, and a corpus of our own where those are absent.

The published vectors are those of transparency-dev/merkle, 98 inclusion and 98 consistency proofs. Three of them ask
for consistency from a tree of size 0; like their authors' code, ours refuses every such proof: the empty tree is
extended by any other, so there is nothing to prove and the caller decides that case.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from signer.errors import Refused
from signer.tlog.merkle import verify_consistency, verify_inclusion
from tests.unit.tlog import naive_tree

SIZE_ZERO = {
    "size1-is-zero-and-does-not-equal-size2.json",
    "size1-is-zero-and-size2-is-not-zero.json",
    "sizes-are-equal-zero-and-proof-is-empty.json",
}


def decode(texts: list[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or []]


def accepted(vector: dict[str, Any]) -> bool:
    proof = decode(vector["proof"])
    try:
        if "leafIdx" in vector:
            leaf, root = decode([vector["leafHash"], vector["root"]])
            verify_inclusion(leaf, vector["leafIdx"], vector["treeSize"], proof, root)
        else:
            old, new = decode([vector["root1"], vector["root2"]])
            verify_consistency(vector["size1"], vector["size2"], proof, old, new)
    except Refused:
        return False
    return True


def test_published_proofs_are_judged_as_published(vectors: Path) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for path in sorted((vectors / "merkle").rglob("*.json")):
        vector = json.loads(path.read_text())
        kind = path.relative_to(vectors / "merkle").parts[0]
        counts[f"{kind} {'refused' if vector['wantErr'] else 'accepted'}"] += 1
        counts["size 0"] += path.name in SIZE_ZERO
        if accepted(vector) is vector["wantErr"]:
            wrong.append(str(path))
    sys.stdout.write(f"merkle vectors: {dict(sorted(counts.items()))}\n")
    assert wrong == []
    assert counts["inclusion accepted"] + counts["inclusion refused"] == 98
    assert counts["consistency accepted"] + counts["consistency refused"] == 98
    assert counts["size 0"] == len(SIZE_ZERO)


def test_every_proof_of_a_naive_tree_verifies_and_none_of_its_truncations() -> None:
    entries = [bytes([index]) * index for index in range(33)]
    proofs = 0
    for size in range(1, len(entries) + 1):
        root = naive_tree.root(entries[:size])
        for index in range(size):
            leaf = naive_tree.root([entries[index]])
            path = naive_tree.path(index, entries[:size])
            verify_inclusion(leaf, index, size, path, root)
            assert not any(refused_not(leaf, index, size, path[:cut], root) for cut in range(len(path)))
            proofs += 1
        for old in range(1, size + 1):
            before = naive_tree.root(entries[:old])
            proof = naive_tree.proof(old, entries[:size])
            verify_consistency(old, size, proof, before, root)
            proofs += 1
    sys.stdout.write(f"naive tree: {proofs} proofs accepted\n")
    assert proofs == 2 * 33 * 34 // 2


def refused_not(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    try:
        verify_inclusion(leaf, index, size, path, root)
    except Refused:
        return False
    return True
