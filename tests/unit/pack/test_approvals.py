# SPDX-License-Identifier: Apache-2.0
"""A pack of what people approved: who said what of which hold, and what rests on it; no word of it can be another."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from signer.custodian.commands import Decide, Done, NotSigned, RecordApproval, RevokeApproval, Signed
from signer.formats.approval import ApprovalStatement, Verb
from signer.ledger import leaves
from signer.releases.findings import find
from signer.verify.checks import CheckFailed
from signer.verify.pack import verify_pack
from tests.approvals import AUTHOR, GROUPS, PRODUCTION, access_document, policy_document, signed, statement
from tests.authority import SUBJECT, demo_evidence
from tests.unit.pack.test_pack import files_of, resealed
from tests.unit.pack.world import Release

READER = b"""\
  - {to: "robot:reader", actions: [deploy], policies: ["*"], environments: ["*"], repositories: ["*"]}
"""


class Promoted(Release):
    """A release that two people approved for production, one of them of a group of kind security."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = demo_evidence(self.signers, triggered_by=AUTHOR)
        access = access_document(version=3, groups=GROUPS).replace(
            b"id: sre, kind: release", b"id: sre, kind: security"
        )
        access = access.replace(
            b"robots:\n", b'robots:\n  - {id: reader, sans: ["spiffe://test.invalid/robot/reader"]}\n'
        )
        assert isinstance(self.ask(self.activation("policy", 2, policy_document(self.signers))), Done)
        assert isinstance(self.ask(self.activation("access", 3, access + READER)), Done)
        held = self.promote()
        assert isinstance(held, NotSigned), held
        leaf = leaves.decode_leaf(self.ledger.leaf(held.leaf))
        assert isinstance(leaf, leaves.Decision)
        self.held = leaf
        taken = self.say("kim")
        command = RevokeApproval(principal="person:kim", approval=taken.digest, reason="a mistake")
        assert isinstance(self.ask(command), Done)
        self.say("lee")
        self.say("omar")
        released = self.promote()
        assert isinstance(released, Signed), released
        self.request_id = released.request_id

    def promote(self) -> object:
        return self.ask(Decide(judge=replace(self.judge(self.pipeline), environment=PRODUCTION)))

    def say(self, name: str, verb: Verb = "approve") -> ApprovalStatement:
        documents = {digest: document.data for digest, document in self.ledger.documents.items()}
        said = statement(self.held, documents, name, verb=verb, at=self.clock.now())
        command = RecordApproval(principal=f"person:{name}", statement=signed(said), signed=True)
        assert isinstance(self.ask(command), Done)
        return said


@pytest.fixture(scope="module")
def promoted() -> Promoted:
    return Promoted()


@pytest.fixture(scope="module")
def pack(promoted: Promoted, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return promoted.pack(tmp_path_factory.mktemp("pack"))


def test_who_approved_what_is_told_and_proved(promoted: Promoted, pack: bytes) -> None:
    verified = verify_pack(pack, trust=promoted.trust, allow_dev=False, subjects={SUBJECT.sha256})
    assert not {path for path in verified.missing if path.startswith("05-approvals/")}
    files = files_of(pack)
    page = files["05-approvals/environment-approval.md"].decode()
    for line in (
        "approve by kim, for production",
        "approve by omar, for production",
        f"- digest: `sha256:{SUBJECT.sha256}`",
        f"- hold: request `{promoted.held.request}`",
        f"- cited evidence: `{promoted.held.cited}`; answers: `{promoted.held.answers}`",
        "- rollback: unknown: the last release stands by",
        "- taken back at leaf",
    ):
        assert line in page, page
    assert page.count("rests on it") == 2
    security = files["05-approvals/security-signoff.md"].decode()
    assert ("by omar" in security, "by lee" in security) == (True, False)
    lines = files["05-approvals/approvals.jsonl"].splitlines()
    assert len(lines) == 3
    assert all(b'"payloadType":"application/vnd.in-toto+json"' in line for line in lines)


@pytest.mark.parametrize("path", ["05-approvals/environment-approval.md", "05-approvals/approvals.jsonl"])
def test_an_approval_that_was_edited_fails_under_any_manifest(promoted: Promoted, pack: bytes, path: str) -> None:
    files = files_of(pack)
    edited = files[path].replace(b"lee", b"eve") if path.endswith(".md") else files[path].replace(b"A", b"B", 1)
    assert edited != files[path]
    with pytest.raises(CheckFailed):
        verify_pack(resealed({**files, path: edited}), trust=promoted.trust, allow_dev=False)


def test_a_deployment_that_names_the_release_which_people_approved_is_no_finding(tmp_path: Path) -> None:
    promoted = Promoted()
    promoted.deploy(environment=PRODUCTION, approval=promoted.request_id)
    assert "F4" not in {each.id for each in find(promoted.contents(tmp_path))}
    claimed = tmp_path / "claimed"
    claimed.mkdir()
    promoted.deploy(environment=PRODUCTION, approval="ab" * 16)
    assert "F4" in {each.id for each in find(promoted.contents(claimed))}
