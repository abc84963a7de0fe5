# SPDX-License-Identifier: Apache-2.0
"""Waivers at the custodian: recorded by two people, used with the ALLOW leaf, ended by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policy.decision import Offender, Outcome
from signer.custodian.commands import (
    Check,
    Checked,
    Decide,
    Done,
    EndWaiver,
    Failed,
    NotSigned,
    RecordWaiver,
    Reply,
    Signed,
)
from signer.dev.attestations import attest, scan_statement
from signer.domain.subject import Subject
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import encode_envelope, parse_envelope
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.strict_json import parse_object
from signer.formats.waiver import PAYLOAD_TYPE, WaiverStatement
from signer.ledger import leaves
from tests.authority import SUBJECT, demo_policy, subject
from tests.unit.custodian.world import NOW, World
from tests.waivers import CVE, REPOSITORY, access_document, signed, waiver as made_waiver


@pytest.fixture
def world() -> World:
    world = World()
    assert isinstance(world.ask(world.activation("access", 2, access_document())), Done)
    world.journal.clear()
    return world


def vulnerable(world: World, *names: str, about: Subject = SUBJECT) -> tuple[bytes, ...]:
    """Good evidence, but for a scan that found these."""
    good = world.evidence(about)
    finished = NOW - timedelta(minutes=5)
    found = [(name, "HIGH") for name in names or (CVE,)]
    scan = attest(scan_statement((about,), finished=finished, vulnerabilities=found), world.signers["scanner"])
    return (*good[:3], scan, *good[4:])


def waiver(**changes: Any) -> WaiverStatement:
    """As the clock of the world has it, which stands still."""
    return made_waiver(**{"now": NOW, **changes})


def record(world: World, statement: WaiverStatement, *by: str, principal: str = "person:alice") -> Reply:
    return world.ask(RecordWaiver(principal=principal, envelope=signed(statement, *by)))


def recorded(world: World, **changes: Any) -> str:
    """Record a waiver; returns its digest."""
    statement = waiver(**changes)
    reply = record(world, statement)
    assert isinstance(reply, Done), reply
    return statement.digest


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


def decision_of(world: World, reply: Reply) -> dict[str, Any]:
    match reply:
        case NotSigned(decision=data) | Checked(decision=data):
            return parse_object(data, limit=1 << 20, what="decision")
        case _:
            raise AssertionError(reply)


def newest(world: World) -> leaves.Decision:
    leaf = world.ledger.of(leaves.Decision)[-1][1]
    assert isinstance(leaf, leaves.Decision)
    return leaf


def test_what_is_waived_is_judged_signed_and_written_down(world: World) -> None:
    evidence = vulnerable(world)
    assert isinstance(world.ask(world.decide(evidence=evidence)), NotSigned)
    digest = recorded(world)
    assert isinstance(world.ask(world.decide(evidence=evidence)), Signed)
    leaf = newest(world)
    assert leaf.waivers == (digest,)
    findings = decode_decision(world.ledger.documents[leaf.findings].data)
    (finding,) = findings.of("VUL-1")
    assert (finding.outcome, finding.would) == (Outcome.WAIVED, Outcome.FAIL)
    (use,) = finding.waived_by
    assert (use.digest, use.use, use.max_uses) == (digest, 1, 1)
    assert use.approved_by == world.persons.known["alice"]
    (fact,) = decode_facts(world.ledger.documents[leaf.facts].data).ledger.waivers
    assert (fact.digest, fact.requested_by) == (digest, world.persons.known["bob"])


def test_a_recorded_waiver_is_a_leaf_with_pseudonyms_and_the_very_bytes_that_were_signed(world: World) -> None:
    statement = waiver()
    envelope = signed(statement)
    reply = world.ask(RecordWaiver(principal="person:alice", envelope=envelope))
    assert isinstance(reply, Done)
    leaf = world.ledger.all()[reply.leaf][1]
    assert isinstance(leaf, leaves.WaiverLeaf)
    assert (leaf.digest, leaf.envelope) == (sha256_hex(statement.payload()), sha256_hex(envelope))
    assert world.ledger.documents[leaf.digest].data == statement.payload()
    assert world.ledger.documents[leaf.envelope].data == envelope
    assert leaf.requester == world.persons.known["bob"]
    assert leaf.approver == leaf.principal == world.persons.known["alice"]


def edited(world: World) -> Reply:
    """Signatures over one use, around a statement of a thousand."""
    signatures = [(each.keyid, each.sig) for each in parse_envelope(signed(waiver())).signatures]
    payload = waiver(max_uses=1000).payload()
    envelope = encode_envelope(PAYLOAD_TYPE, payload, signatures)
    return world.ask(RecordWaiver(principal="person:alice", envelope=envelope))


def retyped(envelope: bytes) -> bytes:
    parsed = parse_envelope(envelope)
    return encode_envelope("application/json", parsed.payload, [(each.keyid, each.sig) for each in parsed.signatures])


REFUSED: dict[str, tuple[Callable[[World], Reply], str]] = {
    "one person twice": (lambda w: record(w, waiver(requested_by="alice")), "waiver-one-person"),
    "the requester's signature alone": (lambda w: record(w, waiver(), "bob"), "waiver-unsigned"),
    "the approver's signature alone": (lambda w: record(w, waiver(), "alice"), "waiver-unsigned"),
    "a stranger's key for the approver": (lambda w: record(w, waiver(), "bob", "mallory"), "waiver-unsigned"),
    "a stranger as requester": (
        lambda w: record(w, waiver(requested_by="mallory"), "mallory", "alice"),
        "waiver-unsigned",
    ),
    "one key for both": (lambda w: record(w, waiver(), "bob", "bob"), "waiver-unsigned"),
    "an approver who may not waive": (
        lambda w: record(w, waiver(approved_by="carol"), "bob", "carol"),
        "waiver-not-granted",
    ),
    "an approver whose grant names another repository": (
        lambda w: record(w, waiver(requested_by="alice", approved_by="bob", repositories=("github.com/acme/x",))),
        "waiver-not-granted",
    ),
    "an approver with one repository for a digest of any": (
        lambda w: record(w, waiver(requested_by="alice", approved_by="bob")),
        "waiver-not-granted",
    ),
    "brought by somebody who may not waive": (lambda w: record(w, waiver(), principal="person:carol"), "not-found"),
    "brought by a robot": (lambda w: record(w, waiver(), principal="robot:ci"), "not-found"),
    "an unknown policy": (lambda w: record(w, waiver(policy="other")), "not-found"),
    "an unknown environment": (lambda w: record(w, waiver(environment="staging")), "not-found"),
    "another ledger": (lambda w: record(w, waiver(origin="elsewhere.invalid/x")), "waiver-foreign"),
    "a rule that is not waivable": (lambda w: record(w, waiver(rules=("BLD-1",))), "rule-not-waivable"),
    "one such rule among others": (lambda w: record(w, waiver(rules=("SBM-1", "VUL-1"))), "rule-not-waivable"),
    "a rule that is not there": (lambda w: record(w, waiver(rules=("VUL-9",))), "rule-not-required"),
    "what expired": (
        lambda w: record(w, waiver(now=NOW - timedelta(days=20))),
        "waiver-expired",
    ),
    "too long": (
        lambda w: record(w, replace(waiver(), expires=NOW + timedelta(days=30, minutes=1))),
        "waiver-too-long",
    ),
    "too far away": (
        lambda w: record(w, waiver(now=NOW + timedelta(days=31))),
        "waiver-too-long",
    ),
    "a renewal of nothing": (lambda w: record(w, waiver(renews="ab" * 32)), "waiver-renewal"),
    "edited bytes": (edited, "waiver-unsigned"),
    "another payload type": (
        lambda w: w.ask(RecordWaiver(principal="person:alice", envelope=retyped(signed(waiver())))),
        "malformed-waiver",
    ),
    "no envelope": (lambda w: w.ask(RecordWaiver(principal="person:alice", envelope=b"{}")), "evidence-invalid"),
}


@pytest.mark.parametrize(("attempt", "expected"), REFUSED.values(), ids=REFUSED)
def test_no_waiver_by(attempt: Callable[[World], Reply], expected: str, world: World) -> None:
    size = len(world.ledger.bodies)
    assert code(attempt(world)) == expected
    assert len(world.ledger.bodies) == size
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), NotSigned)


def test_a_repository_in_the_scope_lets_somebody_with_a_grant_for_it_approve(world: World) -> None:
    made = waiver(requested_by="carol", approved_by="bob", repositories=(REPOSITORY,))
    assert isinstance(record(world, made, principal="person:bob"), Done)
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), Signed)


def test_the_same_bytes_and_another_envelope_around_them_are_recorded_once(world: World) -> None:
    statement = waiver()
    assert isinstance(record(world, statement), Done)
    assert code(record(world, statement)) == "waiver-recorded"
    assert code(record(world, statement, "alice", "bob")) == "waiver-recorded"
    world.ask(EndWaiver(principal="person:alice", waiver=statement.digest, reason="mended"))
    assert code(record(world, statement)) == "waiver-recorded"


def test_an_ended_waiver_counts_no_more_and_ending_it_again_is_the_same_leaf(world: World) -> None:
    digest = recorded(world, max_uses=5)
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), Signed)
    first = world.ask(EndWaiver(principal="person:alice", waiver=digest, reason="mended"))
    assert isinstance(first, Done)
    assert isinstance(world.ledger.all()[first.leaf][1], leaves.WaiverEndLeaf)
    assert world.ask(EndWaiver(principal="person:alice", waiver=digest, reason="again")) == first
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), NotSigned)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"principal": "person:carol"}, "not-found", id="without the grant"),
        pytest.param({"principal": "robot:ci"}, "not-found", id="by a robot"),
        pytest.param({"principal": "person:bob"}, "not-found", id="with a grant for one repository, a digest of any"),
        pytest.param({"waiver": "ab" * 32}, "not-found", id="of one that is not there"),
        pytest.param({"reason": ""}, "invalid-reason", id="without a reason"),
        pytest.param({"reason": "a\nb"}, "invalid-reason", id="with a reason of two lines"),
    ],
)
def test_no_end(changes: dict[str, str], expected: str, world: World) -> None:
    command = {"principal": "person:alice", "waiver": recorded(world), "reason": "mended", **changes}
    assert code(world.ask(EndWaiver(**command))) == expected
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), Signed)


def test_an_end_in_the_same_turn_counts_for_the_request_behind_it(world: World) -> None:
    digest = recorded(world)
    end = EndWaiver(principal="person:alice", waiver=digest, reason="mended")
    decide = world.decide(evidence=vulnerable(world))
    assert [type(reply) for reply in world.turn(end, decide).values()] == [Done, NotSigned]


# Uses


def test_two_requests_at_once_for_the_last_use_are_one_allow(world: World) -> None:
    evidence = vulnerable(world)
    # Kept before, so that no new evidence makes one of them wait for another.
    assert isinstance(world.ask(world.decide(evidence=evidence)), NotSigned)
    recorded(world, max_uses=1)
    commands = [world.decide(evidence=evidence) for _ in range(3)]
    answers = world.turn(*commands)
    answers |= world.turn(events=world.tokens.end())
    assert sorted(type(reply).__name__ for reply in answers.values()) == ["NotSigned", "NotSigned", "Signed"]
    verdicts = [leaf.verdict for _, leaf in world.ledger.of(leaves.Decision) if isinstance(leaf, leaves.Decision)]
    assert verdicts == ["deny", "allow", "deny", "deny"]


def test_a_denial_and_a_check_use_nothing(world: World) -> None:
    recorded(world, max_uses=1)
    evidence = vulnerable(world)
    denied = world.ask(world.decide(evidence=(*evidence[:2], *evidence[3:])))
    assert isinstance(denied, NotSigned)
    assert newest(world).waivers == ()
    for _ in range(2):
        checked = world.ask(Check(judge=world.judge(evidence)))
        assert decision_of(world, checked)["verdict"] == "allow"
    assert isinstance(world.ask(world.decide(evidence=evidence)), Signed)


def test_a_used_up_waiver_is_named_in_the_denial(world: World) -> None:
    digest = recorded(world, max_uses=1)
    evidence = vulnerable(world)
    assert isinstance(world.ask(world.decide(evidence=evidence)), Signed)
    document = decision_of(world, world.ask(world.decide(evidence=evidence)))
    (finding,) = (each for each in document["findings"] if each["rule"] == "VUL-1")
    assert f"the waiver sha256:{digest[:12]} is used up: 1 of 1" in finding["remedy"]


@pytest.mark.parametrize("status", ["failed", "unknown"])
def test_a_use_that_came_to_nothing_is_given_back_to_the_identical_request_alone(status: str, world: World) -> None:
    recorded(world, max_uses=1, digests=tuple(sorted((SUBJECT.sha256, subject(2).sha256))))
    first = vulnerable(world)
    world.turn(world.decide(evidence=first))
    world.turn(events=world.tokens.end(status, reason="timeout"))
    other = vulnerable(world, about=subject(2))
    # The same attestations of the commit: others would be evidence about the first subject as well.
    other = (other[0], first[1], *other[2:5], first[5])

    assert isinstance(world.ask(world.decide(subject(2), evidence=other)), NotSigned)
    assert isinstance(world.ask(world.decide(evidence=first)), Signed)
    # It is used now, by the second attempt, and nothing is left for a third.
    assert isinstance(world.ask(world.decide(evidence=first)), NotSigned)


def test_more_evidence_makes_another_request_to_which_nothing_is_given_back(world: World) -> None:
    recorded(world, max_uses=1)
    world.turn(world.decide(evidence=vulnerable(world)))
    world.turn(events=world.tokens.end("failed", reason="timeout"))
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), NotSigned)


def test_a_failure_of_one_request_gives_nothing_back_of_another(world: World) -> None:
    recorded(world, max_uses=2)
    first, second = vulnerable(world), vulnerable(world)
    assert isinstance(world.ask(world.decide(evidence=first)), Signed)
    world.turn(world.decide(evidence=(*first, second[3])))
    world.turn(events=world.tokens.end("failed", reason="timeout"))
    assert isinstance(world.ask(world.decide(evidence=(*first, second[3]))), Signed)
    assert isinstance(world.ask(world.decide(evidence=(*first, second[3]))), NotSigned)


def test_what_was_waived_survives_a_restart(world: World) -> None:
    recorded(world, max_uses=1)
    evidence = vulnerable(world)
    assert isinstance(world.ask(world.decide(evidence=evidence)), Signed)
    world.authority = world.new_authority()
    assert isinstance(world.ask(world.decide(evidence=evidence)), NotSigned)


# Renewals and room


def test_what_was_waived_before_is_waived_again_by_a_named_renewal_up_to_the_cap(world: World) -> None:
    first = recorded(world)
    again = waiver(ticket="SEC-4412")
    assert code(record(world, again)) == "waiver-renewal"
    assert code(record(world, replace(again, renews="ab" * 32))) == "waiver-renewal"
    assert isinstance(record(world, replace(again, renews=first)), Done)
    leaf = world.ledger.all()[-1][1]
    assert isinstance(leaf, leaves.WaiverLeaf)
    assert leaf.renewal == 1
    third = waiver(ticket="SEC-4413", renews=replace(again, renews=first).digest)
    assert code(record(world, third)) == "waiver-renewal"


def test_neither_its_end_nor_its_expiry_makes_a_second_waiver_a_first(world: World) -> None:
    world.ask(EndWaiver(principal="person:alice", waiver=recorded(world), reason="mended"))
    assert code(record(world, waiver(ticket="SEC-4412"))) == "waiver-renewal"
    world.clock.move(20 * 86400)
    assert code(record(world, waiver(now=world.clock.now()))) == "waiver-renewal"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"offenders": (Offender(id="CVE-1"), Offender(id=CVE))}, id="more beside it"),
        pytest.param({"repositories": (REPOSITORY,)}, id="a repository beside the digest"),
        pytest.param({"digests": (), "repositories": (REPOSITORY,)}, id="a repository instead of the digest"),
    ],
)
def test_a_wider_or_narrower_waiver_of_the_same_is_a_renewal(changes: dict[str, Any], world: World) -> None:
    recorded(world)
    assert code(record(world, waiver(**changes))) == "waiver-renewal"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"offenders": (Offender(id="CVE-2026-31337"),)}, id="another vulnerability"),
        pytest.param({"digests": (subject(2).sha256,)}, id="another digest"),
        pytest.param({"outcome": "unknown"}, id="missing evidence instead"),
    ],
)
def test_a_waiver_of_something_else_is_a_first(changes: dict[str, Any], world: World) -> None:
    recorded(world)
    recorded(world, **changes)


def test_no_more_waivers_stand_at_a_time_than_the_policy_says(world: World) -> None:
    digests = [recorded(world, digests=(subject(number).sha256,)) for number in range(10)]
    another = waiver(digests=(subject(11).sha256,))
    assert code(record(world, another)) == "waiver-limit"
    world.ask(EndWaiver(principal="person:alice", waiver=digests[0], reason="mended"))
    assert isinstance(record(world, another), Done)


def test_a_policy_that_no_longer_lets_a_rule_be_waived_ends_its_waivers(world: World) -> None:
    recorded(world)
    stricter = demo_policy(world.signers, version=2).replace(b"    waivable: true\n", b"")
    assert isinstance(world.ask(world.activation("policy", 2, stricter)), Done)
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), NotSigned)


def test_a_waiver_that_begins_later_counts_later(world: World) -> None:
    recorded(world, now=NOW + timedelta(minutes=3))
    evidence = vulnerable(world)
    assert isinstance(world.ask(world.decide(evidence=evidence)), NotSigned)
    world.clock.move(150)
    assert isinstance(world.ask(world.decide(evidence=evidence)), Signed)


def test_a_waiver_that_cannot_be_written_is_not_answered_as_done(world: World) -> None:
    world.ledger.fault = "before"
    assert code(record(world, waiver())) == "ledger-unavailable"
    world.ledger.fault = None
    assert isinstance(world.ask(world.decide(evidence=vulnerable(world))), NotSigned)


def test_a_signature_that_somebody_else_adds_changes_nothing(world: World) -> None:
    statement = waiver()
    assert isinstance(record(world, statement, "mallory", "bob", "alice"), Done)


def test_a_second_spelling_of_a_statement_is_no_waiver(world: World) -> None:
    payload = canonical(parse_object(waiver().payload(), limit=1 << 20, what="waiver") | {"maxUses": 1.0})
    envelope = encode_envelope(PAYLOAD_TYPE, payload.replace(b'"maxUses":1', b'"maxUses": 1'), [("", b"x")])
    assert code(world.ask(RecordWaiver(principal="person:alice", envelope=envelope))) == "malformed-waiver"


def test_a_request_that_needs_no_waiver_asks_for_none(world: World) -> None:
    recorded(world, digests=(subject(2).sha256,))
    decide = world.decide()
    assert isinstance(decide, Decide)
    assert isinstance(world.ask(decide), Signed)
    assert newest(world).waivers == ()
    assert decode_facts(world.ledger.documents[newest(world).facts].data).ledger.waivers == ()
