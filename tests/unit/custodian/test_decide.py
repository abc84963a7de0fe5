# SPDX-License-Identifier: Apache-2.0
"""What a decide command must get past: documents, evidence, halt, replay, grants, keys, clocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
import yaml

from policy.facts import EvidenceFacts
from signer.custodian.commands import (
    Check,
    Checked,
    Decide,
    Done,
    Failed,
    Halt,
    Judge,
    KeepEvidence,
    Kept,
    NotSigned,
    OutcomeUnknown,
    Reply,
    Signed,
    Stale,
)
from signer.dev import attestations
from signer.formats.bundle import parse_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import pae
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_findings
from signer.formats.spki import keyid, load_spki, spki_pem, verify_signature
from signer.formats.strict_json import parse_object
from signer.formats.vsa import parse_vsa
from signer.keys.keyring import KMS_MESSAGE, KeyPlace
from signer.ledger import leaves
from tests.authority import ORIGIN, SUBJECT, access_document, demo_policy, subject
from tests.unit.custodian.world import NOW, World, idempotency


@pytest.fixture
def world() -> World:
    return World()


def last(world: World, kind: type[Any]) -> Any:
    return world.ledger.of(kind)[-1][1]


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


def with_judge(command: Decide, **changes: Any) -> Decide:
    return msgspec.structs.replace(command, judge=msgspec.structs.replace(command.judge, **changes))


# What is signed


def test_what_is_signed_is_a_summary_of_this_decision_under_the_pinned_key(world: World) -> None:
    command = world.decide(subject(1), subject(2))
    assert isinstance(world.ask(command), Signed)
    outcome = last(world, leaves.Outcome)
    (entry,) = outcome.signatures
    assert (entry.format, entry.kid, entry.attempts, entry.result) == ("vsa", keyid(world.spki), 1, "signed")
    envelope = parse_bundle(world.ledger.documents[entry.bundle].data).envelope
    message = pae(envelope.payload_type, envelope.payload)
    verify_signature(load_spki(world.spki), message, envelope.signatures[0].sig)
    assert sha256_hex(envelope.payload) == entry.payload
    vsa = parse_vsa(envelope.payload)
    assert [each.artifact["sha256"] for each in vsa.subjects] == [subject(1).sha256, subject(2).sha256]
    assert (vsa.verifier, vsa.resource_uri) == (f"https://{ORIGIN}", f"https://{ORIGIN}/demo/release")
    assert (vsa.policy_digest, vsa.time) == (command.judge.policy_digest, NOW)
    assert vsa.inputs == tuple(item.digest for item in command.judge.new)
    assert (vsa.request_id, vsa.dev) == (command.judge.request_id, False)


def test_the_decision_leaf_names_all_that_was_judged_on(world: World) -> None:
    command = world.decide(key="k")
    world.ask(command)
    leaf = last(world, leaves.Decision)
    assert (leaf.request, leaf.principal, leaf.environment) == (command.judge.request_id, "robot:ci", "release")
    assert (leaf.policy.digest, leaf.access) == (command.judge.policy_digest, command.judge.access_digest)
    assert leaf.time == NOW.isoformat(timespec="microseconds").replace("+00:00", "Z")
    facts = decode_facts(world.ledger.documents[leaf.facts].data)
    assert facts.request.submitter == "robot:ci"
    assert {each.origin.digest: each.origin.received for each in facts.evidence.items()} == {
        digest: position for position, digest in enumerate(command.judge.used, start=1)
    }
    used = parse_object(world.ledger.documents[leaf.evidence].data, limit=1 << 20)["evidence"]
    assert [line["digest"] for line in used] == [item.digest for item in command.judge.new]
    assert all(line["new"] for line in used)


def test_evidence_that_is_kept_counts_before_what_is_new_and_keeps_its_submitter(world: World) -> None:
    alice = "person:alice"
    scan = world.evidence()[3]
    early = world.judge([scan], principal=alice)
    world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=early.new))
    world.ask(world.decide(evidence=world.evidence()[:3] + world.evidence()[4:]))
    facts = decode_facts(world.ledger.documents[last(world, leaves.Decision).facts].data)
    assert facts.evidence.scans[0].origin.received == 1, "kept first"
    assert {item.origin.received for item in facts.evidence.items()} == {1, 2, 3, 4, 5, 6}


def test_persons_stand_in_facts_as_pseudonyms_and_strangers_as_unmapped(world: World) -> None:
    for at, (stated, stands) in enumerate(
        [
            ("email:alice@test.invalid", "person:" + "0" * 32),
            ("san:spiffe://test.invalid/robot/ci", "robot:ci"),
            ("login:https://github.com#7", "unmapped"),
            ("person:alice", "unmapped"),
        ]
    ):
        command = world.decide(subject(at))
        made = tuple(replace(item, triggered_by=stated) for item in command.judge.facts.provenance)
        world.ask(with_judge(command, facts=replace(command.judge.facts, provenance=made)))
        facts = decode_facts(world.ledger.documents[last(world, leaves.Decision).facts].data)
        assert facts.evidence.provenance[0].triggered_by == stands


def test_one_human_is_one_person_under_every_identifier(world: World) -> None:
    """Alice wrote it under her address, and reviewed and owns it under others: the rules see one person."""
    alice, san = "email:Alice@test.invalid", "san:spiffe://test.invalid/person/alice"
    command = world.decide()
    record = command.judge.facts.reviews[0]
    record = replace(
        record,
        authors=(alice, san, "email:stranger@test.invalid"),
        reviews=tuple(replace(review, reviewer=who) for review, who in zip(record.reviews, (san, alice), strict=True)),
        owned=tuple(replace(files, owners=(alice, san)) for files in record.owned),
        merged_by=san,
    )
    world.ask(with_judge(command, facts=replace(command.judge.facts, reviews=(record,))))
    [found] = decode_facts(world.ledger.documents[last(world, leaves.Decision).facts].data).evidence.reviews
    one = world.persons.known["alice"]
    assert found.authors == tuple(sorted((one, "unmapped")))
    assert {review.reviewer for review in found.reviews} == {one}
    assert found.owned[0].owners == (one,)
    assert found.merged_by == one


def test_a_person_who_asks_stands_in_the_leaf_as_a_pseudonym(world: World) -> None:
    world.ask(Decide(judge=world.judge((), principal="person:alice")))
    assert last(world, leaves.Decision).principal == world.persons.known["alice"]
    assert b"alice" not in world.ledger.bodies[-1]


def test_a_thousand_subjects_are_one_decision_and_one_statement(world: World) -> None:
    subjects = [subject(number) for number in range(1000)]
    world.turn(world.decide(*subjects))
    assert len(world.tokens.jobs) == 1
    answers = world.turn(events=world.tokens.end())
    assert [type(reply) for reply in answers.values()] == [Signed]
    assert last(world, leaves.Decision).count == 1000


def test_one_denied_subject_denies_all(world: World) -> None:
    evidence = world.evidence(subject(1))
    reply = world.ask(world.decide(subject(1), subject(2), evidence=evidence))
    assert isinstance(reply, NotSigned)


# Stale


def test_is_stale_when_approvals_of_the_joined_tree_arrived(world: World) -> None:
    tree = "7" * 40
    review = attestations.attest(attestations.review_statement(tree=tree), world.signers["source"])
    command = world.decide(evidence=(*world.evidence()[:5], review))
    approvals = attestations.approvals_statement(tree=tree, approvers=["octocat+583231"])
    kept = world.judge([attestations.attest(approvals, world.signers["source"])], subject(1)).new
    assert kept[0].subjects == (f"gitTree:{tree}",)
    world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=kept))
    assert isinstance(world.ask(command), Stale)
    again = world.decide(evidence=(*world.evidence()[:5], review))
    assert kept[0].digest in again.judge.used
    assert isinstance(world.ask(again), Signed)


def activate_policy(world: World) -> None:
    assert isinstance(world.ask(world.activation("policy", 2, demo_policy(world.signers, version=2))), Done)


def activate_access(world: World) -> None:
    assert isinstance(world.ask(world.activation("access", 2, access_document(version=2))), Done)


def keep_more(world: World) -> None:
    finished = NOW - timedelta(hours=1)
    scan = attestations.attest(attestations.scan_statement([subject(1)], finished=finished), world.signers["scanner"])
    items = world.judge([scan], subject(1)).new
    assert isinstance(
        world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=items)), Kept
    )


def keep_about_the_commit(world: World) -> None:
    source = attestations.attest(
        attestations.source_statement(verified=NOW - timedelta(hours=1)), world.signers["source"]
    )
    items = world.judge([source], subject(1)).new
    world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=items))


MOVES = [
    pytest.param(activate_policy, id="another version of the policy came into force"),
    pytest.param(activate_access, id="another access document came into force"),
    pytest.param(keep_more, id="evidence about the subject arrived"),
    pytest.param(keep_about_the_commit, id="evidence about the joined commit arrived"),
]


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    "wrap", [lambda judge: Decide(judge=judge), lambda judge: Check(judge=judge)], ids=["decide", "check"]
)
def test_is_stale_when(move: Callable[[World], None], wrap: Callable[[Judge], Decide | Check], world: World) -> None:
    judge = world.judge(world.evidence(subject(1)), subject(1))
    move(world)
    size = len(world.ledger.bodies)
    assert isinstance(world.ask(wrap(judge)), Stale)
    assert (len(world.ledger.bodies), world.tokens.jobs) == (size, [])


@pytest.mark.parametrize("move", [activate_policy, activate_access], ids=["policy", "access"])
def test_is_stale_when_the_document_changes_earlier_in_the_same_turn(
    move: Callable[[World], None], world: World
) -> None:
    command = world.decide(subject(1))
    document = "policy" if move is activate_policy else "access"
    data = demo_policy(world.signers, version=2) if document == "policy" else access_document(version=2)
    answers = world.turn(world.activation(document, 2, data), command)
    assert [type(reply) for reply in answers.values()] == [Done, Stale]


def test_is_stale_when_evidence_arrives_earlier_in_the_same_turn(world: World) -> None:
    first, second = world.decide(subject(1)), world.decide(subject(1))
    answers = world.turn(first, second)
    assert [type(reply) for reply in answers.values()] == [Stale]
    assert len(world.tokens.jobs) == 1


# Halt


def test_a_halt_refuses_before_any_leaf(world: World) -> None:
    world.ask(Halt(principal="robot:ci", reason="drill"))
    size = len(world.ledger.bodies)
    assert code(world.ask(world.decide())) == "halted"
    assert len(world.ledger.bodies) == size


def test_a_halt_in_the_same_turn_stops_what_comes_after_it(world: World) -> None:
    answers = world.turn(Halt(principal="robot:ci", reason="drill"), world.decide())
    assert [type(reply) for reply in answers.values()] == [Done, Failed]
    assert world.tokens.stopped
    assert world.tokens.jobs == []


def test_a_key_call_that_a_halt_stopped_is_a_failed_outcome_and_423(world: World) -> None:
    world.turn(world.decide(key="k"))
    world.turn(Halt(principal="robot:ci", reason="drill"))
    (reply,) = world.turn(events=world.tokens.end("failed", reason="halted")).values()
    assert code(reply) == "halted"
    assert last(world, leaves.Outcome).status == "failed"


def test_a_check_is_answered_while_signing_is_halted(world: World) -> None:
    judge = world.judge(world.evidence())
    world.ask(Halt(principal="robot:ci", reason="drill"))
    size = len(world.ledger.bodies)
    reply = world.ask(Check(judge=judge))
    assert isinstance(reply, Checked)
    document = parse_object(reply.decision, limit=1 << 20)
    assert (document["verdict"], document["leaf"]) == ("allow", None)
    assert len(world.ledger.bodies) == size


# Replay


@pytest.mark.parametrize("evidence", [None, ()], ids=["signed", "denied"])
def test_the_same_request_gets_the_same_answer_byte_for_byte(evidence: tuple[bytes, ...] | None, world: World) -> None:
    given = world.evidence() if evidence is None else evidence
    first = world.ask(world.decide(evidence=given, key="k"))
    size = len(world.ledger.bodies)
    world.authority = world.new_authority()
    assert world.ask(world.decide(evidence=given, key="k")) == first
    assert len(world.ledger.bodies) == size, "a replay leaves no leaf"
    assert world.tokens.jobs == []


def test_a_denial_is_replayed_under_the_policy_that_denied_it(world: World) -> None:
    first = world.ask(world.denied(key="k"))
    activate_policy(world)
    assert world.ask(world.denied(key="k")) == first


def test_the_same_request_in_work_is_waited_for(world: World) -> None:
    given = world.evidence()
    assert world.turn(world.decide(evidence=given, key="k")) == {}
    assert world.turn(world.decide(evidence=given, key="k")) == {}
    answers = list(world.turn(events=world.tokens.end()).values())
    assert len(answers) == 2
    assert isinstance(answers[0], Signed)
    assert answers[0] == answers[1]


def test_the_same_request_twice_in_one_turn_is_judged_once(world: World) -> None:
    answers = list(world.turn(world.denied(key="k"), world.denied(key="k")).values())
    assert len(answers) == 2
    assert isinstance(answers[0], NotSigned)
    assert answers[0] == answers[1]
    assert world.ledger.appends == [1]


@pytest.mark.parametrize("when", ["in work", "answered"])
def test_another_body_under_the_same_key_is_a_conflict(when: str, world: World) -> None:
    given = world.evidence()
    command = world.decide(evidence=given, key="k")
    if when == "in work":
        world.turn(command)
    else:
        world.ask(command)
    other = Decide(judge=world.judge(given), idempotency=idempotency("k", "another body"))
    assert [code(reply) for reply in world.turn(other).values()] == ["idempotency-conflict"]


def test_a_key_belongs_to_its_principal(world: World) -> None:
    first = world.ask(world.denied(key="k"))
    alice = Decide(judge=world.judge((), principal="person:alice"), idempotency=idempotency("k"))
    second = world.ask(alice)
    assert isinstance(first, NotSigned)
    assert isinstance(second, NotSigned)
    assert second.request_id != first.request_id


def test_a_failed_outcome_is_judged_anew(world: World) -> None:
    given = world.evidence()
    world.turn(world.decide(evidence=given, key="k"))
    (reply,) = world.turn(events=world.tokens.end("failed", reason="token-unavailable")).values()
    assert code(reply) == "token-unavailable"
    assert isinstance(world.ask(world.decide(evidence=given, key="k")), Signed)
    assert len(world.ledger.of(leaves.Outcome)) == 2


def test_an_unknown_outcome_is_final(world: World) -> None:
    given = world.evidence()
    world.turn(world.decide(evidence=given, key="k"))
    (reply,) = world.turn(events=world.tokens.end("unknown", reason="worker-lost")).values()
    assert isinstance(reply, OutcomeUnknown)
    assert world.ask(world.decide(evidence=given, key="k")) == reply
    assert world.tokens.jobs == []


def test_a_request_id_serves_one_request(world: World) -> None:
    first = world.denied()
    world.ask(first)
    again = with_judge(world.denied(), request_id=first.judge.request_id)
    assert code(world.ask(again)) == "request-id-used"
    twins = world.turn(
        with_judge(world.denied(), request_id="ab" * 16), with_judge(world.denied(), request_id="ab" * 16)
    )
    assert sorted(type(reply).__name__ for reply in twins.values()) == ["Failed", "NotSigned"]


# Keys and clocks


def test_no_allow_is_written_that_no_key_can_honour(world: World) -> None:
    world.tokens.reason = "the token was unplugged"
    size = len(world.ledger.bodies)
    reply = world.ask(world.decide())
    assert (code(reply), len(world.ledger.bodies)) == ("token-unavailable", size)


def test_a_statement_that_the_key_cannot_sign_whole_is_refused_before_anything_is_decided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = (subject(1),), tuple(subject(number) for number in range(40))
    assert isinstance(world.ask(world.decide(*one)), Signed)
    # As an Ed25519 key in AWS KMS has it; this world's key signs digests.
    monkeypatch.setattr(KeyPlace, "message_limit", property(lambda _: KMS_MESSAGE))
    size = len(world.ledger.bodies)
    reply = world.ask(world.decide(*many))
    assert (code(reply), len(world.ledger.bodies)) == ("payload-too-large", size)
    assert isinstance(reply, Failed)
    assert "fewer subjects" in reply.remedy
    assert isinstance(world.ask(world.decide(*one, key="one")), Signed)
    assert isinstance(world.ask(world.denied()), NotSigned), "a denial needs no key"


@pytest.mark.parametrize(
    "distrust",
    [
        pytest.param(lambda world: world.publish_trust(version=2, status="retired"), id="retired"),
        pytest.param(lambda world: world.publish_trust(version=2, not_after=NOW), id="past its time"),
    ],
)
def test_a_key_signs_only_while_the_owners_trust_it(distrust: Callable[[World], None], world: World) -> None:
    distrust(world)
    assert code(world.ask(world.decide())) == "key-not-trusted"
    assert world.tokens.jobs == []


def test_a_key_call_may_begin_five_seconds_after_the_judged_instant_at_most(world: World) -> None:
    world.turn(world.decide())
    assert world.tokens.jobs[0].begin_by == world.clock.ticks + 5_000_000_000
    (reply,) = world.turn(events=world.tokens.end("failed", reason="stale")).values()
    assert code(reply) == "stale"
    outcome = last(world, leaves.Outcome)
    assert (outcome.status, outcome.reason) == ("failed", "stale")


def test_nothing_is_judged_while_the_clock_goes_backwards(world: World) -> None:
    world.ask(world.denied())
    world.clock.time -= timedelta(seconds=5)
    assert code(world.ask(world.denied())) == "time-untrusted"
    world.clock.time += timedelta(seconds=5)
    assert isinstance(world.ask(world.denied()), NotSigned)


def test_the_table_of_pseudonyms_is_needed_for_people_and_its_loss_denies(world: World) -> None:
    world.persons.fault = True
    command = Decide(judge=world.judge((), principal="person:alice"))
    assert code(world.ask(command)) == "ledger-unavailable"
    assert isinstance(world.ask(world.denied()), NotSigned)


# What a hostile web may try


def item(judge: Judge, **changes: Any) -> dict[str, Any]:
    return {"new": (msgspec.structs.replace(judge.new[0], **changes), *judge.new[1:])}


REFUSALS = [
    pytest.param(lambda _: {"request_id": "x"}, "malformed-frame", id="a request id that is none"),
    pytest.param(lambda _: {"principal": "robot:nobody"}, "not-found", id="a principal without grants"),
    pytest.param(lambda _: {"principal": "robot:reader"}, "not-found", id="a principal without this grant"),
    pytest.param(lambda _: {"principal": "root"}, "malformed-frame", id="a principal that is none"),
    pytest.param(lambda _: {"policy": "other"}, "not-found", id="a policy that is not in force"),
    pytest.param(lambda _: {"environment": "other"}, "not-found", id="an environment that is not in the policy"),
    pytest.param(lambda _: {"subjects": ()}, "invalid-subject", id="no subject"),
    pytest.param(lambda j: {"subjects": j.subjects * 2}, "invalid-subject", id="a subject twice"),
    pytest.param(
        lambda _: {"subjects": (("a", (("sha1", "0" * 40),)),)}, "invalid-digest", id="a digest that is not accepted"
    ),
    pytest.param(lambda j: item(j, data=b"other"), "digest-mismatch", id="other bytes under a digest"),
    pytest.param(lambda j: item(j, subjects=()), "malformed-frame", id="evidence that nobody can find again"),
    pytest.param(lambda j: item(j, subjects=("tag:latest",)), "malformed-frame", id="evidence indexed by a tag"),
    pytest.param(lambda j: item(j, kind="a b\n"), "malformed-frame", id="a kind that is no word"),
    pytest.param(lambda j: {"new": j.new + j.new[:1]}, "malformed-frame", id="evidence sent twice"),
    pytest.param(lambda j: {"new": j.new[1:]}, "evidence-missing-bytes", id="facts without their evidence"),
    pytest.param(lambda j: {"used": j.used[1:]}, "malformed-frame", id="evidence that is not among the used"),
    pytest.param(lambda j: {"used": (*j.used, "zz")}, "malformed-frame", id="a used digest that is none"),
    pytest.param(lambda j: {"used": (*j.used, "0" * 64)}, "evidence-missing-bytes", id="a used digest of nothing"),
    pytest.param(
        lambda j: {
            "facts": replace(
                j.facts,
                provenance=tuple(replace(p, origin=replace(p.origin, digest="0" * 64)) for p in j.facts.provenance),
            )
        },
        "malformed-frame",
        id="a fact of evidence that was not used",
    ),
    pytest.param(
        lambda j: {
            "facts": replace(
                j.facts,
                provenance=tuple(replace(p, origin=replace(p.origin, covers=(0, 7))) for p in j.facts.provenance),
            )
        },
        "malformed-frame",
        id="a fact about a subject that was not requested",
    ),
    pytest.param(
        lambda j: {
            "facts": replace(
                j.facts,
                provenance=tuple(
                    replace(p, finished=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))))
                    for p in j.facts.provenance
                ),
            )
        },
        "malformed-frame",
        id="a time outside UTC",
    ),
    pytest.param(
        lambda j: {
            "facts": replace(j.facts, provenance=tuple(replace(p, dependencies=2**60) for p in j.facts.provenance))
        },
        "malformed-frame",
        id="a number that readers of JSON disagree on",
    ),
    pytest.param(lambda j: {"facts": replace(j.facts, provenance=(7,))}, "internal", id="a fact that is no fact"),
]


@pytest.mark.parametrize(("change", "expected"), REFUSALS)
def test_refuses(change: Callable[[Judge], dict[str, Any]], expected: str, world: World) -> None:
    command = world.decide()
    size = len(world.ledger.bodies)
    assert code(world.ask(with_judge(command, **change(command.judge)))) == expected
    assert (len(world.ledger.bodies), world.tokens.jobs) == (size, [])
    assert isinstance(world.ask(command), Signed), "the authority goes on"


def test_the_order_of_receipt_and_the_submitter_are_the_ledgers_not_the_callers(world: World) -> None:
    command = world.decide()
    lying = tuple(
        replace(each, origin=replace(each.origin, received=-7, submitter="robot:somebody"))
        for each in command.judge.facts.provenance
    )
    world.ask(with_judge(command, facts=replace(command.judge.facts, provenance=lying)))
    facts = decode_facts(world.ledger.documents[last(world, leaves.Decision).facts].data)
    (origin,) = (each.origin for each in facts.evidence.provenance)
    assert (origin.received, origin.submitter) == (1, "robot:ci")


def test_the_time_of_first_receipt_is_the_ledgers_not_the_callers(world: World) -> None:
    """Grace is counted from it: a scan that was kept yesterday is not new because it is sent again today."""
    evidence = world.evidence()
    early = world.judge([evidence[3]])
    world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=early.new))
    kept_at = world.clock.now()
    world.clock.move(3600)
    command = world.decide(evidence=evidence)
    lying = tuple(replace(each, first_received=NOW + timedelta(days=1)) for each in command.judge.facts.scans)
    world.ask(with_judge(command, facts=replace(command.judge.facts, scans=lying)))
    facts = decode_facts(world.ledger.documents[last(world, leaves.Decision).facts].data)
    assert [each.first_received for each in facts.evidence.scans] == [kept_at]
    new = attestations.attest(
        attestations.scan_statement([SUBJECT], finished=NOW - timedelta(minutes=1)), world.signers["scanner"]
    )
    world.ask(world.decide(evidence=(*evidence, new)))
    facts = decode_facts(world.ledger.documents[last(world, leaves.Decision).facts].data)
    assert [each.first_received for each in facts.evidence.scans] == [kept_at, world.clock.now()]


def test_a_builder_key_with_which_a_person_approves_is_named_in_the_facts_and_denied(world: World) -> None:
    key = spki_pem(world.signers["builder"].public_key())
    access = yaml.safe_load(access_document())
    access["metadata"]["version"] = 2
    access["people"][0]["approvalKeys"] = [key]
    assert isinstance(world.ask(world.activation("access", 2, yaml.safe_dump(access).encode())), Done)
    reply = world.ask(world.decide())
    assert isinstance(reply, NotSigned)
    decision = last(world, leaves.Decision)
    facts = decode_facts(world.ledger.documents[decision.facts].data)
    assert facts.ledger.personal_keys == ("builder",)
    failing = [each.rule for each in decode_findings(world.ledger.documents[decision.findings].data) if each.remedy]
    assert failing == ["BLD-3"]


def test_no_facts_are_no_allow(world: World) -> None:
    command = world.decide()
    reply = world.ask(with_judge(command, facts=EvidenceFacts()))
    assert isinstance(reply, NotSigned)


def test_evidence_is_kept_even_when_the_request_is_denied(world: World) -> None:
    scan = world.evidence()[3]
    command = world.decide(evidence=[scan])
    assert isinstance(world.ask(command), NotSigned)
    (kept,) = world.ledger.evidence_for([f"sha256:{subject_of(command)}"])
    assert kept.digest == sha256_hex(scan)


def subject_of(command: Decide) -> str:
    return command.judge.subjects[0][1][0][1]


def test_an_item_that_arrived_meanwhile_is_not_new_again(world: World) -> None:
    evidence = world.evidence()
    command = world.decide(evidence=evidence)
    world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=command.judge.new[:1]))
    assert isinstance(world.ask(command), Signed)
    used = parse_object(world.ledger.documents[last(world, leaves.Decision).evidence].data, limit=1 << 20)["evidence"]
    assert [line["new"] for line in used] == [False, True, True, True, True, True]


def test_a_check_keeps_nothing(world: World) -> None:
    world.ask(Check(judge=world.judge(world.evidence())))
    assert world.ledger.kept() == {}
