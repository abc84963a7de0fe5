# SPDX-License-Identifier: Apache-2.0
"""Approvals in a pack are proved by the statements that people signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from signer.custodian.commands import Decide, Done, NotSigned, RecordApproval
from signer.formats.approval import ApprovalStatement
from signer.ledger import leaves
from signer.ledger.approval_leaves import ApprovalLeaf
from tests.approvals import AUTHOR, PRODUCTION, access_document, policy_document, signed, statement
from tests.authority import demo_evidence
from tests.unit.pack.test_pack import files_of, refused, resealed
from tests.unit.pack.world import Release


class Promoted(Release):
    """A release that waits for people, of whom `sre` is a group for security."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = demo_evidence(self.signers, triggered_by=AUTHOR)
        assert isinstance(self.ask(self.activation("policy", 2, policy_document(self.signers))), Done)
        access = access_document(version=3).replace(b"{id: sre, kind: release", b"{id: sre, kind: security")
        assert isinstance(self.ask(self.activation("access", 3, access)), Done)
        reply = self.ask(self.promote())
        assert isinstance(reply, NotSigned)
        leaf = leaves.decode_leaf(self.ledger.leaf(reply.leaf))
        assert isinstance(leaf, leaves.Decision)
        self.hold = leaf

    def promote(self) -> Decide:
        return Decide(judge=changed(self.judge(self.pipeline), environment=PRODUCTION))

    def said(self, by: str, **changes: Any) -> ApprovalStatement:
        documents = {digest: each.data for digest, each in self.ledger.documents.items()}
        return statement(self.hold, documents, by, at=self.clock.now(), **changes)

    def approve(self, by: str) -> ApprovalStatement:
        said = self.said(by)
        command = RecordApproval(principal=f"person:{by}", statement=signed(said), signed=True)
        assert isinstance(self.ask(command), Done)
        return said


@pytest.mark.parametrize("by", ["mallory", "kim"])
def test_a_statement_by_another_key_is_refused(by: str, tmp_path: Path) -> None:
    """Even the ledger key cannot put another signature under an approval."""
    release = Promoted()
    said = release.approve("lee")
    files = files_of(release.pack(tmp_path))
    files["05-approvals/approvals.jsonl"] = signed(said, by) + b"\n"
    assert refused(resealed(files), release.trust).code in ("document-missing", "approval-unsigned")


def test_a_custodian_that_recorded_what_nobody_signed_is_caught(tmp_path: Path) -> None:
    release = Promoted()
    said = release.approve("lee")
    (index, leaf) = release.ledger.of(ApprovalLeaf)[0]
    assert isinstance(leaf, ApprovalLeaf)
    forged = release.ledger.documents[leaf.envelope]
    other = signed(said, "mallory")
    del release.ledger.documents[leaf.envelope]
    document = type(forged).of(other, media_type=forged.media_type)
    release.ledger.documents[document.digest] = document
    release.ledger.bodies[index] = leaves.encode_leaf(changed(leaf, envelope=document.digest))
    assert json.loads(other)["payload"] == json.loads(forged.data)["payload"]
    assert refused(release.pack(tmp_path), release.trust).code == "approval-unsigned"
