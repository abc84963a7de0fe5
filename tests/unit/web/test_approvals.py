# SPDX-License-Identifier: Apache-2.0
"""/v1/approvals and /v1/holds: who may say and see what, what the custodian is told, and what an approver is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from signer.custodian.commands import Done, Failed, RecordApproval, RevokeApproval
from signer.formats.approval import PAYLOAD_TYPE, ApprovalStatement, parse_approval, read_approval
from signer.formats.rfc3339 import format_time
from signer.formats.strict_base64 import encode_base64
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import Decision, DeploymentLeaf, Outcome
from signer.ledger.sequencer import Entry
from tests.approvals import an_approval, revocation, signed
from tests.unit.web.test_activation import PREFIX, with_grant
from tests.unit.web.world import NOW, ORIGIN, OTHER, SUBJECT, World

ENVELOPE = an_approval()
STATEMENT = read_approval(ENVELOPE)[1]


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world in which olga may approve under the policy demo, and one release has been allowed."""
    made = make_world()
    assert made.client().post("/v1/signatures", json=made.body()).status_code == 200
    return with_grant(made, "[approve]", "[demo]")


def say(world: World, held: Decision, *, verb: Any = "approve", envelope: str = "e") -> ApprovalLeaf:
    """Somebody says something of a hold."""
    row = world.application.reader.hold(held.request)
    assert row is not None
    said = ApprovalStatement(
        verb=verb,
        origin=ORIGIN,
        hold=held.request,
        subject=SUBJECT,
        environment=held.environment,
        policy=held.policy.name,
        policy_digest=held.policy.digest,
        cited=held.cited,
        answers=held.answers,
        answered={"digest": "yes", "rollback": "unknown"},
        reasons={"rollback": "the last release stands by"},
        reason="not on a Friday" if verb == "reject" else "",
        approver="kim",
        at=NOW,
    )
    documents = [StoredDocument.of(said.payload(), media_type=PAYLOAD_TYPE)]
    documents += [StoredDocument.of(envelope.encode())] if envelope else []
    leaf = ApprovalLeaf(
        time=format_time(NOW),
        verb=verb,
        digest=said.digest,
        envelope=documents[1].digest if envelope else "",
        kid="kid" if envelope else "",
        hold=held.request,
        decision=row.leaf,
        sha256=held.first,
        environment=held.environment,
        policy=held.policy.name,
        policy_digest=held.policy.digest,
        cited=held.cited,
        answers=held.answers,
        person="person:1",
        groups=("sre",),
        at=format_time(NOW),
        principal="person:1",
    )
    world.sequencer.append([Entry(leaf, tuple(documents))])
    return leaf


def deploy(world: World, sha256: str) -> None:
    """A deployment is recorded."""
    leaf = DeploymentLeaf(
        time=format_time(NOW),
        id=sha256,
        policy="demo",
        environment="release",
        status="deployed",
        reference="registry.example/shop:1",
        digest=sha256,
        at=format_time(NOW),
        approval="",
        gate=None,
        principal="robot:deployer",
    )
    world.sequencer.append([Entry(leaf)])


def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = world.client().get(f"/v1/approvals{query}")
    assert answer.status_code == 200, answer.get_data()
    found: list[dict[str, Any]] = answer.get_json()["holds"]
    return found


def test_an_approval_is_brought_byte_for_byte(world: World) -> None:
    world.custodian.replies = [Done(leaf=9), Done(leaf=10)]
    answer = world.client().post("/v1/approvals", json={"approval": encode_base64(ENVELOPE)})
    assert (answer.status_code, answer.get_json()) == (201, {"leaf": 9, "digest": STATEMENT.digest})
    bare = world.client().post("/v1/approvals", json={"statement": encode_base64(STATEMENT.payload())})
    assert (bare.status_code, bare.get_json()) == (201, {"leaf": 10, "digest": STATEMENT.digest})
    assert world.custodian.asked[-2:] == [
        RecordApproval(principal="person:olga", statement=ENVELOPE, signed=True),
        RecordApproval(principal="person:olga", statement=STATEMENT.payload(), signed=False),
    ]


def test_an_approval_is_taken_back_with_its_reason_and_the_signature_that_came(world: World) -> None:
    world.custodian.replies = [Done(leaf=9), Done(leaf=9)]
    path, envelope = f"/v1/approvals/{'ab' * 32}/revoke", signed(revocation(STATEMENT, at=NOW))
    answer = world.client().post(path, json={"reason": "a mistake"})
    assert (answer.status_code, answer.get_json()) == (200, {"leaf": 9, "digest": "ab" * 32})
    world.client().post(path, json={"reason": "a mistake", "revocation": encode_base64(envelope)})
    plain = RevokeApproval(principal="person:olga", approval="ab" * 32, reason="a mistake")
    assert world.custodian.asked[-2:] == [
        plain,
        RevokeApproval(principal="person:olga", approval="ab" * 32, reason="a mistake", statement=envelope),
    ]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("approval-foreign", 403),
        ("approval-unsigned", 403),
        ("approver-not-eligible", 403),
        ("approval-mismatch", 409),
        ("approval-recorded", 409),
        ("approval-stale", 409),
        ("hold-closed", 409),
        ("hold-rejected", 409),
        ("hold-superseded", 409),
        ("reason-missing", 422),
    ],
)
def test_what_the_custodian_refuses_is_answered_with_its_reason(world: World, code: str, status: int) -> None:
    family = "malformed" if status == 422 else "refused"
    world.custodian.replies = [Failed(family=family, code=code, detail="d", remedy="r")]
    answer = world.client().post("/v1/approvals", json={"approval": encode_base64(ENVELOPE)})
    assert (answer.status_code, answer.get_json()["type"]) == (status, PREFIX + code)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 400, id="nothing"),
        pytest.param({"approval": 7}, 400, id="a number"),
        pytest.param({"approval": "!!!!"}, 400, id="no base64"),
        pytest.param({"approval": encode_base64(b"{}")}, 422, id="no envelope"),
        pytest.param({"statement": encode_base64(b"{}")}, 400, id="no statement"),
        pytest.param({"statement": encode_base64(ENVELOPE)}, 400, id="an envelope as a statement"),
        pytest.param(
            {"approval": encode_base64(ENVELOPE), "statement": encode_base64(STATEMENT.payload())}, 400, id="both"
        ),
        pytest.param({"approval": encode_base64(ENVELOPE), "force": True}, 400, id="a member more"),
    ],
)
def test_what_is_no_approval_reaches_no_custodian(world: World, body: dict[str, Any], status: int) -> None:
    asked = len(world.custodian.asked)
    assert world.client().post("/v1/approvals", json=body).status_code == status
    assert len(world.custodian.asked) == asked


def test_a_hold_is_listed_with_what_was_said_of_it_and_its_state(world: World) -> None:
    held = world.hold()
    approval = say(world, held)
    (hold,) = listed(world)
    assert (hold["request_id"], hold["state"], hold["sha256"], hold["cited"]) == (
        held.request,
        "waiting",
        SUBJECT.sha256,
        held.cited,
    )
    (said,) = hold["approvals"]
    assert (said["digest"], said["approver"], said["form"], said["groups"], said["revoked"]) == (
        approval.digest,
        "kim",
        "signed",
        ["sre"],
        None,
    )
    assert said["reasons"] == {"rollback": "the last release stands by"}
    rejection = say(world, held, verb="reject", envelope="")
    (hold,) = listed(world)
    assert (hold["state"], hold["approvals"][1]["form"], hold["approvals"][1]["reason"]) == (
        "rejected",
        "recorded",
        "not on a Friday",
    )
    taken = ApprovalRevocationLeaf(
        time=format_time(NOW), approval=rejection.digest, envelope="", reason="a mistake", principal="person:1"
    )
    world.sequencer.append([Entry(taken)])
    (hold,) = listed(world)
    assert (hold["state"], hold["approvals"][1]["revoked"]["reason"]) == ("waiting", "a mistake")


def test_holds_that_are_over_are_listed_only_when_asked_for(world: World) -> None:
    first = world.hold("ab" * 16)
    second = world.hold("cd" * 16)
    assert [hold["request_id"] for hold in listed(world)] == [second.request]
    assert {hold["request_id"]: hold["state"] for hold in listed(world, "?all=true")} == {
        first.request: "superseded",
        second.request: "waiting",
    }
    assert [hold["state"] for hold in listed(world, f"?hold={first.request}")] == ["superseded"]
    assert listed(world, f"?digest={'00' * 32}") == listed(world, "?environment=staging") == []
    assert len(listed(world, f"?digest={SUBJECT.sha256}&environment=release&policy=demo&limit=1")) == 1


def test_a_hold_is_shown_with_its_questions_its_evidence_and_what_is_new_in_it(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/ci"
    row = world.application.reader.decisions(limit=1)[0]
    signed_before = Outcome(
        time=format_time(NOW), request=row.request_id, decision=row.leaf, status="signed", reason="", signatures=()
    )
    world.sequencer.append([Entry(signed_before)])
    other = {"subjects": [{"name": OTHER.name, "digest": {"sha256": OTHER.sha256}}]}
    evidence = [{"content": encode_base64(data)} for data in world.attestations(OTHER).values()]
    asked = world.client().post("/v1/signatures", json={**world.body(), **other, "evidence": evidence})
    assert asked.status_code == 200, asked.get_data()
    held = world.hold()
    sheet = world.client().get(f"/v1/holds/{held.request}").get_json()
    assert sheet["origin"] == ORIGIN
    assert sheet["decision"]["request_id"] == held.request
    assert [question["id"] for question in sheet["decision"]["questions"]] == [
        "digest",
        "source",
        "pipeline",
        "tests",
        "findings",
        "rollback",
    ]
    difference = {"what": "digest", "before": f"sha256:{SUBJECT.sha256}", "now": f"sha256:{OTHER.sha256}"}
    compared = sheet["compared"]
    assert (compared["as"], compared["sha256"], compared["known"]) == ("released", SUBJECT.sha256, True)
    assert compared["differences"] == [difference]
    # What was deployed there last goes before what was released last.
    for digest, known in ((SUBJECT.sha256, True), ("ee" * 32, False)):
        deploy(world, digest)
        compared = world.client().get(f"/v1/holds/{held.request}").get_json()["compared"]
        assert (compared["as"], compared["sha256"], compared["known"]) == ("deployed", digest, known)
        assert compared["differences"] == ([difference] if known else [])


def test_what_is_out_of_reach_is_neither_listed_nor_shown(world: World) -> None:
    held = world.hold()
    world.san = "spiffe://dev.invalid/robot/idle"
    assert listed(world) == []
    for path in (f"/v1/holds/{held.request}", f"/v1/holds/{'00' * 16}", "/v1/holds/x"):
        answer = world.client().get(path)
        assert (answer.status_code, answer.get_json()["type"]) == (404, PREFIX + "not-found")
    brought = world.client().post("/v1/approvals", json={"approval": encode_base64(ENVELOPE)})
    assert brought.status_code == 403
    assert parse_approval(STATEMENT.payload()) == STATEMENT
