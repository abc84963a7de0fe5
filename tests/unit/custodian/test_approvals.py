# SPDX-License-Identifier: Apache-2.0
"""Holds and approvals at the authority: who may say what, what counts, and what one release uses up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as changed

from policy.decision import Outcome
from signer.custodian.commands import (
    Check,
    Checked,
    Decide,
    Done,
    Failed,
    NotSigned,
    RecordApproval,
    Reply,
    RevokeApproval,
    Signed,
)
from signer.formats.approval import ApprovalStatement, Verb
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.strict_json import parse_object
from signer.ledger import leaves
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from tests.approvals import (
    APPROVAL,
    AUTHOR,
    CHECKLIST,
    GROUPS,
    KEYS,
    PRODUCTION,
    access_document,
    policy_document,
    revocation,
    signed,
    statement,
)
from tests.authority import SUBJECT, demo_evidence
from tests.unit.custodian.world import NOW, World, idempotency


class Stage(World):
    """A world with people who approve, and evidence that is the same each time, built by the developer."""

    def __init__(self, *, rule: str = APPROVAL) -> None:
        super().__init__()
        self.pipeline = demo_evidence(self.signers, now=NOW, triggered_by=AUTHOR)
        assert isinstance(self.ask(self.activation("policy", 2, policy_document(self.signers, rule=rule))), Done)
        assert isinstance(self.ask(self.activation("access", 2, access_document())), Done)


@pytest.fixture
def world() -> Stage:
    return Stage()


def promote(
    world: Stage, *, key: str | None = None, principal: str = "robot:ci", more: tuple[bytes, ...] = ()
) -> Decide:
    judge = world.judge((*world.pipeline, *more), principal=principal)
    return Decide(judge=changed(judge, environment=PRODUCTION), idempotency=None if key is None else idempotency(key))


def hold(world: Stage, **options: Any) -> leaves.Decision:
    reply = world.ask(promote(world, **options))
    assert isinstance(reply, NotSigned), reply
    leaf = leaves.decode_leaf(world.ledger.leaf(reply.leaf))
    assert isinstance(leaf, leaves.Decision)
    assert leaf.verdict == "hold", finding(world, leaf)
    return leaf


def finding(world: Stage, leaf: leaves.Decision) -> str:
    decision = decode_decision(world.ledger.documents[leaf.findings].data)
    missed = [each for each in decision.findings if each.outcome is not Outcome.PASS]
    return "; ".join(f"{each.rule} {each.outcome.value}: {each.title} ({each.found})" for each in missed)


def said(world: Stage, held: leaves.Decision, by: str, *, verb: Verb = "approve", **changes: Any) -> ApprovalStatement:
    documents = {name: document.data for name, document in world.ledger.documents.items()}
    return statement(held, documents, by, verb=verb, at=changes.pop("at", world.clock.now()), **changes)


def record(world: Stage, approval: ApprovalStatement, *, by: str | None = None, bring: str | None = None) -> Reply:
    principal = f"person:{bring or approval.approver}"
    return world.ask(RecordApproval(principal=principal, statement=signed(approval, by), signed=True))


def approve(
    world: Stage, held: leaves.Decision, by: str, *, verb: Verb = "approve", **changes: Any
) -> ApprovalStatement:
    approval = said(world, held, by, verb=verb, **changes)
    reply = record(world, approval)
    assert isinstance(reply, Done), reply
    return approval


def revoke(world: Stage, approval: ApprovalStatement, *, sign: bool = False, by: str | None = None) -> Reply:
    data = signed(revocation(approval, at=world.clock.now())) if sign else b""
    principal = f"person:{by or approval.approver}"
    return world.ask(RevokeApproval(principal=principal, approval=approval.digest, reason="a mistake", statement=data))


def newest(world: Stage) -> leaves.Decision:
    leaf = world.ledger.of(leaves.Decision)[-1][1]
    assert isinstance(leaf, leaves.Decision)
    return leaf


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


def waiting(world: Stage, reply: Reply) -> str:
    match reply:
        case NotSigned(decision=data) | Checked(decision=data):
            document = parse_object(data, limit=1 << 20)
            return "; ".join(str(each["title"]) for each in document["findings"] if each["outcome"] != "pass")
        case _:
            raise AssertionError(reply)


# Holds


def test_a_promotion_waits_and_is_signed_once_people_of_each_group_approved(world: Stage) -> None:
    held = hold(world)
    assert waiting(world, world.ask(promote(world))) == "waiting for approvals: 1 of release-managers, 1 of sre"
    first = approve(world, held, "lee")
    assert waiting(world, world.ask(promote(world))) == "waiting for approval: 1 of sre"
    second = approve(world, held, "omar")
    assert isinstance(world.ask(promote(world)), Signed)
    leaf = newest(world)
    assert leaf.approvals == (first.digest, second.digest)
    facts = decode_facts(world.ledger.documents[leaf.facts].data)
    assert [(each.person, each.groups, each.signed) for each in facts.ledger.approvals] == [
        (world.persons.known["lee"], ("release-managers",), True),
        (world.persons.known["omar"], ("sre",), True),
    ]


def test_judged_again_to_the_same_it_is_the_same_hold_without_a_leaf(world: Stage) -> None:
    held = hold(world)
    size = len(world.ledger.bodies)
    for principal in ("robot:ci", "robot:ci", "person:alice"):
        again = world.ask(promote(world, principal=principal, key=principal))
        assert isinstance(again, NotSigned)
        assert again.request_id == held.request
        document = parse_object(again.decision, limit=1 << 20)
        assert (document["request_id"], document["leaf"], document["time"]) == (held.request, again.leaf, held.time)
        assert document["answers"] == held.answers
    assert len(world.ledger.bodies) == size


def test_evidence_that_decides_nothing_voids_no_approval_and_is_kept(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "lee")
    junk = demo_evidence({**world.signers, "builder": world.signers["scanner"]}, now=NOW, triggered_by=AUTHOR)[:1]
    before = len(world.ledger.kept())
    reply = world.ask(promote(world, more=junk))
    assert isinstance(reply, NotSigned)
    assert reply.request_id == held.request
    assert len(world.ledger.kept()) == before + 1
    approve(world, held, "omar")
    assert isinstance(world.ask(promote(world)), Signed)


def newer_scan(world: Stage) -> tuple[bytes, ...]:
    return (demo_evidence(world.signers, now=NOW + timedelta(seconds=1))[3],)


def test_evidence_that_decides_makes_another_hold_and_the_approvals_lapse(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "lee")
    approve(world, held, "omar")
    # A newer scan counts now: nobody has approved on it.
    again = hold(world, more=newer_scan(world))
    assert (again.request != held.request, again.cited != held.cited) == (True, True)
    assert code(record(world, said(world, held, "kim"))) == "hold-superseded"
    approve(world, again, "lee")
    approve(world, again, "omar")
    assert isinstance(world.ask(promote(world)), Signed)


def test_another_version_of_the_policy_makes_another_hold(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "lee")
    world.ask(world.activation("policy", 3, policy_document(world.signers, version=3)))
    assert code(record(world, said(world, held, "omar"))) == "hold-superseded"
    again = hold(world)
    assert again.request != held.request
    approve(world, again, "omar")
    assert waiting(world, world.ask(promote(world))) == "waiting for approval: 1 of release-managers"


def test_a_hold_that_a_release_answered_is_closed(world: Stage) -> None:
    held = hold(world)
    for name in ("lee", "omar"):
        approve(world, held, name)
    assert isinstance(world.ask(promote(world)), Signed)
    again = hold(world)
    assert again.request != held.request
    assert code(record(world, said(world, held, "kim"))) == "hold-superseded"
    assert waiting(world, world.ask(promote(world))) == "waiting for approvals: 1 of release-managers, 1 of sre"


def test_a_check_sees_the_same_approvals_and_uses_none(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "lee")
    check = Check(judge=promote(world).judge)
    assert waiting(world, world.ask(check)) == "waiting for approval: 1 of sre"
    approve(world, held, "omar")
    for _ in range(2):
        reply = world.ask(check)
        assert isinstance(reply, Checked)
        assert parse_object(reply.decision, limit=1 << 20)["verdict"] == "allow"
    assert isinstance(world.ask(promote(world)), Signed)


# Who may say what


ELSE = "5a" * 32
REFUSED: Mapping[str, tuple[Callable[[Stage, leaves.Decision], Reply], str]] = {
    "another digest": (
        lambda w, h: record(w, said(w, h, "kim", subject=type(SUBJECT).of("shop.tar", {"sha256": ELSE}))),
        "approval-mismatch",
    ),
    "the same digest under another name": (
        lambda w, h: record(w, said(w, h, "kim", subject=type(SUBJECT).of("shop2", {"sha256": SUBJECT.sha256}))),
        "approval-mismatch",
    ),
    "another environment": (lambda w, h: record(w, said(w, h, "kim", environment="release")), "approval-mismatch"),
    "another version of the policy": (
        lambda w, h: record(w, said(w, h, "kim", policy_digest=ELSE)),
        "approval-mismatch",
    ),
    "other evidence": (lambda w, h: record(w, said(w, h, "kim", cited=ELSE)), "approval-mismatch"),
    "other answers": (lambda w, h: record(w, said(w, h, "kim", answers=ELSE)), "approval-mismatch"),
    "answers that are all good": (
        lambda w, h: record(w, said(w, h, "kim", answered=dict.fromkeys(said(w, h, "kim").answered, "yes"))),
        "approval-mismatch",
    ),
    "one answer left out": (
        lambda w, h: record(w, said(w, h, "kim", answered={"digest": "yes"}, reasons={})),
        "approval-mismatch",
    ),
    "no reason for what speaks against it": (lambda w, h: record(w, said(w, h, "kim", reasons={})), "reason-missing"),
    "a hold that nobody knows": (lambda w, h: record(w, said(w, h, "kim", hold="ab" * 16)), "not-found"),
    "another ledger": (lambda w, h: record(w, said(w, h, "kim", origin="elsewhere.invalid/x")), "approval-foreign"),
    "a time before the hold": (
        lambda w, h: record(w, said(w, h, "kim", at=w.clock.now() - timedelta(minutes=5))),
        "approval-stale",
    ),
    "a time in the future": (
        lambda w, h: record(w, said(w, h, "kim", at=w.clock.now() + timedelta(minutes=5))),
        "approval-stale",
    ),
    "a co-signature where nothing is broken": (
        lambda w, h: record(w, said(w, h, "kim", verb="cosign", reason="an outage")),
        "approval-mismatch",
    ),
    "a review where nothing was broken": (
        lambda w, h: record(w, said(w, h, "kim", verb="review", reason="it was right")),
        "approval-mismatch",
    ),
    "another's key": (lambda w, h: record(w, said(w, h, "kim"), by="lee"), "approval-unsigned"),
    "a stranger": (lambda w, h: record(w, said(w, h, "mallory"), bring="kim"), "approval-unsigned"),
    "a stranger's key for somebody": (lambda w, h: record(w, said(w, h, "kim"), by="mallory"), "approval-unsigned"),
    "the author": (lambda w, h: record(w, said(w, h, "developer")), "approver-not-eligible"),
    "somebody of no group": (lambda w, h: record(w, said(w, h, "guest")), "approver-not-eligible"),
    "brought by a robot": (
        lambda w, h: w.ask(RecordApproval(principal="robot:ci", statement=signed(said(w, h, "kim")), signed=True)),
        "not-found",
    ),
    "brought by somebody who may not approve": (
        lambda w, h: record(w, said(w, h, "kim"), bring="alice"),
        "not-found",
    ),
    "unsigned for somebody else": (
        lambda w, h: w.ask(RecordApproval(principal="person:lee", statement=said(w, h, "kim").payload(), signed=False)),
        "approval-unsigned",
    ),
    "an envelope that says to be none": (
        lambda w, h: w.ask(RecordApproval(principal="person:kim", statement=signed(said(w, h, "kim")), signed=False)),
        "malformed-approval",
    ),
}


@pytest.fixture(scope="module")
def standing_hold() -> tuple[Stage, leaves.Decision]:
    """One hold for all that is refused, since none of it changes anything."""
    world = Stage()
    held = hold(world)
    world.clock.move(60)
    return world, held


@pytest.mark.parametrize("case", REFUSED)
def test_an_approval_that_does_not_fit_is_refused_and_nothing_is_written(
    standing_hold: tuple[Stage, leaves.Decision], case: str
) -> None:
    world, held = standing_hold
    size = len(world.ledger.bodies)
    attempt, expected = REFUSED[case]
    assert code(attempt(world, held)) == expected
    assert len(world.ledger.bodies) == size


def test_the_same_approval_counts_once_and_a_person_says_it_once(world: Stage) -> None:
    held = hold(world)
    approval = approve(world, held, "kim")
    assert code(record(world, approval)) == "approval-recorded"
    assert code(record(world, said(world, held, "kim", reason="once more"))) == "approval-recorded"
    assert waiting(world, world.ask(promote(world))).startswith("waiting for approval: 1 of")


def test_one_person_of_two_groups_gives_way_to_whoever_fits_one(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "kim")
    approve(world, held, "lee")
    assert isinstance(world.ask(promote(world)), Signed)


def test_an_approval_is_a_leaf_with_pseudonyms_and_the_very_bytes_that_were_signed(world: Stage) -> None:
    held = hold(world)
    approval = said(world, held, "kim")
    envelope = signed(approval)
    reply = world.ask(RecordApproval(principal="person:lee", statement=envelope, signed=True))
    assert isinstance(reply, Done)
    leaf = world.ledger.all()[reply.leaf][1]
    assert isinstance(leaf, ApprovalLeaf)
    assert world.ledger.documents[leaf.digest].data == approval.payload()
    assert world.ledger.documents[leaf.envelope].data == envelope
    assert (leaf.hold, leaf.sha256, leaf.environment, leaf.cited) == (held.request, held.first, PRODUCTION, held.cited)
    assert (leaf.person, leaf.principal) == (world.persons.known["kim"], world.persons.known["lee"])
    assert leaf.groups == ("release-managers", "sre")


def test_what_a_certificate_alone_records_counts_only_where_the_policy_takes_it() -> None:
    for rule, counts in ((APPROVAL, True), (APPROVAL.replace("72h", "72h, signed: true"), False), (CHECKLIST, False)):
        world = Stage(rule=rule)
        held = hold(world)
        for name in ("lee", "omar"):
            data = said(world, held, name).payload()
            command = RecordApproval(principal=f"person:{name}", statement=data, signed=False)
            assert isinstance(world.ask(command), Done)
        reply = world.ask(promote(world))
        assert isinstance(reply, Signed if counts else NotSigned), rule
        if not counts:
            leaf = leaves.decode_leaf(world.ledger.leaf(reply.leaf)) if isinstance(reply, NotSigned) else None
            assert isinstance(leaf, leaves.Decision)
            assert leaf.request == held.request


# Membership, keys and age when the key is used


LOST: Mapping[str, Mapping[str, Any]] = {
    "the group": {"groups": {**GROUPS, "sre": ("kim", "developer")}},
    "the grant": {"without": ("omar",)},
    "the key": {"keys": {**KEYS, "omar": KEYS["mallory"]}},
}


@pytest.mark.parametrize("what", LOST)
def test_who_has_lost_group_grant_or_key_since_counts_no_more(world: Stage, what: str) -> None:
    held = hold(world)
    for name in ("lee", "omar"):
        approve(world, held, name)
    assert isinstance(world.ask(world.activation("access", 3, access_document(version=3, **LOST[what]))), Done)
    assert waiting(world, world.ask(promote(world))) == "waiting for approval: 1 of sre"


def test_who_joined_a_group_after_approving_counts_for_it_only_when_approving_again(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "omar")
    approve(world, held, "kim", at=world.clock.now())
    world.ask(world.activation("access", 3, access_document(version=3, groups={**GROUPS, "sre": ("kim",)})))
    assert waiting(world, world.ask(promote(world))).startswith("waiting for approval: 1 of")


def test_an_approval_lapses_after_its_time(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "lee")
    world.clock.move(3600 * 71)
    # The evidence of this pipeline may be seven days old, its scan two.
    assert isinstance(world.ask(promote(world)), NotSigned)


# Single use, and what a release gives back


def test_one_approval_allows_one_of_two_hundred_promotions_at_once(world: Stage) -> None:
    held = hold(world)
    for name in ("lee", "omar"):
        approve(world, held, name)
    command = promote(world)
    commands = [Decide(judge=changed(command.judge, request_id=f"{number:032x}", new=())) for number in range(200)]
    answers = world.turn(*commands)
    for _ in range(3):
        answers |= world.turn(events=world.tokens.end())
    assert sum(isinstance(reply, Signed) for reply in answers.values()) == 1
    assert sum(isinstance(reply, NotSigned) for reply in answers.values()) == 199
    verdicts = [leaf.verdict for _, leaf in world.ledger.of(leaves.Decision) if isinstance(leaf, leaves.Decision)]
    assert verdicts.count("allow") == 1


def test_what_came_to_nothing_gives_its_approvals_back_to_the_same_request_alone(world: Stage) -> None:
    held = hold(world)
    for name in ("lee", "omar"):
        approve(world, held, name)
    world.turn(promote(world))
    world.turn(events=world.tokens.end("failed", reason="token-unavailable"))
    other = world.ask(promote(world, more=newer_scan(world)))
    assert isinstance(other, NotSigned), "other evidence is another request"


def test_a_failed_signature_gives_the_approvals_back_to_the_same_request(world: Stage) -> None:
    held = hold(world)
    for name in ("lee", "omar"):
        approve(world, held, name)
    world.turn(promote(world))
    world.turn(events=world.tokens.end("failed", reason="token-unavailable"))
    assert isinstance(world.ask(promote(world)), Signed)
    assert isinstance(world.ask(promote(world)), NotSigned)


# Taking back


def test_a_revoked_approval_counts_no_more_and_may_be_given_again(world: Stage) -> None:
    held = hold(world)
    approval = approve(world, held, "lee")
    approve(world, held, "omar")
    first = revoke(world, approval)
    assert isinstance(first, Done)
    assert isinstance(world.ledger.all()[first.leaf][1], ApprovalRevocationLeaf)
    assert revoke(world, approval) == first
    assert waiting(world, world.ask(promote(world))) == "waiting for approval: 1 of release-managers"
    world.clock.move(1)
    approve(world, held, "lee")
    assert isinstance(world.ask(promote(world)), Signed)


def test_a_revocation_before_the_release_in_one_turn_wins_and_after_it_is_refused(world: Stage) -> None:
    held = hold(world)
    approval = approve(world, held, "lee")
    approve(world, held, "omar")
    taking = RevokeApproval(principal="person:lee", approval=approval.digest, reason="a mistake")
    answers = world.turn(taking, promote(world))
    assert [type(reply) for reply in answers.values()] == [Done, NotSigned]

    world.clock.move(1)
    again = approve(world, held, "lee")
    taking = RevokeApproval(principal="person:lee", approval=again.digest, reason="a mistake")
    answers = world.turn(promote(world), taking)
    (refused,) = answers.values()
    assert code(refused) == "approval-used"
    (released,) = world.turn(events=world.tokens.end()).values()
    assert isinstance(released, Signed)


def test_nobody_else_takes_an_approval_back(world: Stage) -> None:
    held = hold(world)
    approval = approve(world, held, "lee")
    for by in ("omar", "mallory"):
        assert code(revoke(world, approval, by=by)) == "not-found"
    foreign = revocation(replace(approval, approver="omar"), at=world.clock.now(), approval=approval.digest)
    command = RevokeApproval(
        principal="person:omar", approval=approval.digest, reason="x", statement=signed(foreign, "omar")
    )
    assert code(world.ask(command)) == "approval-mismatch"


# Rejection


def test_a_rejection_closes_the_hold_with_its_reason_until_the_rejecter_takes_it_back(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "lee")
    rejection = approve(world, held, "omar", verb="reject")
    denied = world.ask(promote(world, key="first"))
    assert isinstance(denied, NotSigned)
    assert waiting(world, denied) == "needs approval by people outside the change; it was rejected"
    assert "not on a Friday" in finding(world, newest(world))
    assert code(record(world, said(world, held, "kim"))) == "hold-rejected"
    # A signed rejection is not taken back by whoever holds the certificate alone.
    assert code(revoke(world, rejection)) == "approval-unsigned"
    assert isinstance(revoke(world, rejection, sign=True), Done)
    assert world.ask(promote(world, key="first")) == denied, "a denial stands under its key"
    reopened = world.ask(promote(world, key="second"))
    assert isinstance(reopened, NotSigned)
    assert reopened.request_id == held.request
    approve(world, held, "omar")
    assert isinstance(world.ask(promote(world)), Signed)


def test_a_rejection_ends_when_other_evidence_decides(world: Stage) -> None:
    held = hold(world)
    approve(world, held, "omar", verb="reject")
    again = hold(world, more=newer_scan(world))
    assert again.request != held.request


def test_the_checklist_takes_approvals_over_the_answers_as_they_are() -> None:
    world = Stage(rule=CHECKLIST)
    held = hold(world)
    for name in ("lee", "omar"):
        approve(world, held, name)
    assert isinstance(world.ask(promote(world)), Signed)
