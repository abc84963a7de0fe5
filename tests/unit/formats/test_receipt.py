# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.receipt import PolicyVersion, ProvenLeaf, Receipt, ReceiptBundle, build_receipt, parse_receipt

RECEIPT = Receipt(
    request_id="0f" * 16,
    environment="release",
    policy=PolicyVersion("demo", 3, "a" * 64),
    decision=ProvenLeaf(7, b"decision", "proof 7\n"),
    outcome=ProvenLeaf(8, b"outcome", "proof 8\n"),
    documents={sha256_hex(b"subjects"): b"subjects", sha256_hex(b"findings"): b"findings"},
    bundles=(ReceiptBundle("vsa", b"{}"),),
)


def changed(**changes: Any) -> bytes:
    body = json.loads(build_receipt(RECEIPT)) | changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def test_what_is_built_is_read_back() -> None:
    assert parse_receipt(build_receipt(RECEIPT)) == RECEIPT


def test_equal_receipts_give_equal_bytes() -> None:
    reordered = Receipt(
        request_id=RECEIPT.request_id,
        environment=RECEIPT.environment,
        policy=RECEIPT.policy,
        decision=RECEIPT.decision,
        outcome=RECEIPT.outcome,
        documents=dict(reversed(list(RECEIPT.documents.items()))),
        bundles=RECEIPT.bundles,
    )
    assert build_receipt(reordered) == build_receipt(RECEIPT)


@given(st.binary(max_size=40), st.text(max_size=40), st.integers(0, 2**53 - 1))
def test_any_leaf_comes_back(leaf: bytes, proof: str, index: int) -> None:
    receipt = Receipt(
        request_id="r",
        environment="e",
        policy=PolicyVersion("p", 1, "d"),
        decision=ProvenLeaf(index, leaf, proof),
        outcome=ProvenLeaf(index, leaf, proof),
        documents={sha256_hex(leaf): leaf},
        bundles=(),
    )
    assert parse_receipt(build_receipt(receipt)) == receipt


LEAF = {"index": 7, "leaf": "YQ==", "proof": ""}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"type": "signing-authority/receipt/v2"}, id="another version"),
        pytest.param({"type": ...}, id="no type"),
        pytest.param({"extra": 1}, id="an unknown field"),
        pytest.param({"decision": {**LEAF, "index": -1}}, id="a negative index"),
        pytest.param({"decision": {**LEAF, "index": "7"}}, id="P07 an index that is text"),
        pytest.param({"decision": {**LEAF, "index": 7.5}}, id="P07 an index that is no integer"),
        pytest.param({"decision": {**LEAF, "leaf": "YQ"}}, id="P05 a leaf that is not canonical base64"),
        pytest.param({"outcome": ...}, id="no outcome"),
        pytest.param({"documents": {"a" * 64: "YQ=="}}, id="a document under another digest"),
        pytest.param({"documents": {sha256_hex(b"a").upper(): "YQ=="}}, id="a digest in upper case"),
        pytest.param({"bundles": {}}, id="bundles that are an object"),
        pytest.param({"policy": {"name": "demo", "version": True, "digest": "a"}}, id="P07 a version that is true"),
    ],
)
def test_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        parse_receipt(changed(**changes))
    assert refused.value.code == "malformed-receipt"
