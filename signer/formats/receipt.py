# SPDX-License-Identifier: Apache-2.0
"""The receipt: the answer to a request that was signed, and all that proves it.

    {"type":"signing-authority/receipt/v1","request_id":"…","environment":"release",
     "policy":{"name":"demo","version":1,"digest":"<sha256>"},
     "decision":{"index":7,"leaf":"<base64>","proof":"<tlog-proof text>"},
     "outcome":{"index":8,"leaf":"<base64>","proof":"<tlog-proof text>"},
     "documents":{"<sha256>":"<base64>"},
     "bundles":[{"format":"vsa","bundle":"<base64 of the bundle bytes>"}]}

`documents` holds the subjects and findings that the decision leaf names, and the simple signing documents of images.
`bundles` holds one for the statement, and one for each signature of an image or an artifact. Parsing checks the shape
and that each document has the digest it is filed under; proofs and signatures are checked in `signer.verify`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.shape import read_shape
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.strict_json import parse_object

TYPE = "signing-authority/receipt/v1"
MEDIA_TYPE = "application/vnd.signing-authority.receipt+json"
MAX_RECEIPT = 64 * 1024 * 1024

_CODE = "malformed-receipt"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """The policy under which the decision fell."""

    name: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf's bytes, its index and the `.tlog-proof` that it stands in the ledger."""

    index: int
    leaf: bytes
    proof: str


@dataclass(frozen=True, slots=True)
class ReceiptBundle:
    """One signed output: its format name and the exact bundle bytes."""

    format: str
    bundle: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Everything that a caller keeps; `documents` maps sha256 to bytes."""

    request_id: str
    environment: str
    policy: PolicyVersion
    decision: ProvenLeaf
    outcome: ProvenLeaf
    documents: Mapping[str, bytes]
    bundles: tuple[ReceiptBundle, ...]


class _Policy(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    version: int
    digest: str


class _Leaf(msgspec.Struct, forbid_unknown_fields=True):
    index: int
    leaf: str
    proof: str


class _Bundle(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    bundle: str


class _Receipt(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["signing-authority/receipt/v1"]
    request_id: str
    environment: str
    policy: _Policy
    decision: _Leaf
    outcome: _Leaf
    documents: dict[str, str]
    bundles: list[_Bundle]


def build_receipt(receipt: Receipt) -> bytes:
    """Canonical bytes of a receipt: equal receipts give equal bytes, which replays rely on."""
    return canonical(
        {
            "type": TYPE,
            "request_id": receipt.request_id,
            "environment": receipt.environment,
            "policy": {
                "name": receipt.policy.name,
                "version": receipt.policy.version,
                "digest": receipt.policy.digest,
            },
            "decision": _leaf_object(receipt.decision),
            "outcome": _leaf_object(receipt.outcome),
            "documents": {digest: encode_base64(data) for digest, data in receipt.documents.items()},
            "bundles": [{"format": entry.format, "bundle": encode_base64(entry.bundle)} for entry in receipt.bundles],
        }
    )


def parse_receipt(data: bytes) -> Receipt:
    """Read receipt bytes; raises Malformed."""
    value = parse_object(data, limit=MAX_RECEIPT, what="receipt")
    wire = read_shape(value, _Receipt, what="receipt", code=_CODE)
    documents: dict[str, bytes] = {}
    for digest, text in wire.documents.items():
        document = decode_base64(text, what="document of the receipt", code=_CODE)
        if _SHA256.fullmatch(digest) is None or sha256_hex(document) != digest:
            raise Malformed(_CODE, "a document of the receipt is filed under another digest")
        documents[digest] = document
    return Receipt(
        request_id=wire.request_id,
        environment=wire.environment,
        policy=PolicyVersion(wire.policy.name, wire.policy.version, wire.policy.digest),
        decision=_leaf(wire.decision),
        outcome=_leaf(wire.outcome),
        documents=MappingProxyType(documents),
        bundles=tuple(
            ReceiptBundle(entry.format, decode_base64(entry.bundle, what="bundle of the receipt", code=_CODE))
            for entry in wire.bundles
        ),
    )


def _leaf_object(leaf: ProvenLeaf) -> dict[str, object]:
    return {"index": leaf.index, "leaf": encode_base64(leaf.leaf), "proof": leaf.proof}


def _leaf(wire: _Leaf) -> ProvenLeaf:
    if wire.index < 0:
        raise Malformed(_CODE, "a leaf index is negative")
    return ProvenLeaf(wire.index, decode_base64(wire.leaf, what="leaf of the receipt", code=_CODE), wire.proof)
