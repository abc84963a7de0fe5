# SPDX-License-Identifier: Apache-2.0
"""Acts of people and owners: halt, resume, activation, trust, keys, evidence, alarms, status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.custodian.commands import (
    Activate,
    AddKey,
    Done,
    Failed,
    Halt,
    KeepEvidence,
    Kept,
    Reply,
    Resume,
    Signed,
    Status,
    StatusReport,
    UpdateTrust,
)
from signer.custodian.token_events import Alarm, KeyLocated
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import OwnerAct, sign_owner_act
from signer.formats.spki import keyid, spki_der
from signer.ledger import leaves
from tests.authority import ORIGIN, access_document, demo_policy, subject
from tests.unit.custodian.world import World


@pytest.fixture
def world() -> World:
    return World()


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


def halt(world: World) -> int:
    reply = world.ask(Halt(principal="person:alice", reason="drill"))
    assert isinstance(reply, Done)
    return reply.leaf


# Halt and resume


def test_a_halt_is_a_leaf_and_stops_the_workers(world: World) -> None:
    index = halt(world)
    leaf = world.ledger.all()[index][1]
    assert isinstance(leaf, leaves.HaltLeaf)
    assert (leaf.reason, leaf.principal) == ("drill", world.persons.known["alice"])
    assert world.tokens.stopped


def test_a_second_halt_answers_with_the_first(world: World) -> None:
    first = halt(world)
    assert halt(world) == first


def test_a_halt_needs_no_table_of_pseudonyms(world: World) -> None:
    world.persons.fault = True
    halt(world)
    assert world.tokens.stopped


@pytest.mark.parametrize("reason", ["", "x" * 501, "two\nlines", "\x1b[31m"])
def test_a_halt_gives_a_printable_reason(reason: str, world: World) -> None:
    assert code(world.ask(Halt(principal="robot:ci", reason=reason))) == "invalid-reason"


def test_a_halt_that_cannot_be_written_is_not_answered_as_done(world: World) -> None:
    world.ledger.fault = "before"
    assert code(world.ask(Halt(principal="robot:ci", reason="drill"))) == "ledger-unavailable"


def test_the_halt_survives_a_restart(world: World) -> None:
    halt(world)
    world.tokens.stopped = False
    world.authority = world.new_authority()
    assert world.tokens.stopped
    assert code(world.ask(world.decide())) == "halted"


def resume(world: World, index: int, *, owners: int = 2, sha256: str | None = None, number: int | None = None) -> Reply:
    digest = sha256_hex(world.ledger.leaf(index)) if sha256 is None else sha256
    signatures = world.sign("resume", index if number is None else number, digest, owners=owners)
    return world.ask(Resume(principal="operator:0", halt_index=index, signatures=signatures))


def test_the_owners_resume_exactly_the_halt_in_force(world: World) -> None:
    index = halt(world)
    assert isinstance(resume(world, index), Done)
    assert not world.tokens.stopped
    assert isinstance(world.ask(world.decide()), Signed)


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        pytest.param(lambda w, i: resume(w, i, owners=1), "owner-threshold", id="one owner where two are needed"),
        pytest.param(lambda w, i: resume(w, i, sha256="0" * 64), "owner-threshold", id="a signature over another leaf"),
        pytest.param(lambda w, i: resume(w, i, number=0), "owner-threshold", id="a signature for another halt"),
        pytest.param(lambda w, i: resume(w, i - 1), "not-halted", id="a leaf that is no halt"),
        pytest.param(
            lambda w, i: w.ask(Resume(principal="operator", halt_index=i, signatures=(b"{}",))),
            "evidence-invalid",
            id="something that is no envelope",
        ),
        pytest.param(
            lambda w, i: w.ask(
                Resume(
                    principal="operator",
                    halt_index=i,
                    signatures=w.sign("resume", i, sha256_hex(w.ledger.leaf(i)), owners=1) * 2,
                )
            ),
            "owner-threshold",
            id="one owner twice",
        ),
    ],
)
def test_no_resume_by(attempt: Callable[[World, int], Reply], expected: str, world: World) -> None:
    index = halt(world)
    assert code(attempt(world, index)) == expected
    assert world.tokens.stopped


def test_a_signature_of_an_earlier_resume_does_not_end_a_later_halt(world: World) -> None:
    first = halt(world)
    old = world.sign("resume", first, sha256_hex(world.ledger.leaf(first)))
    assert isinstance(resume(world, first), Done)
    second = halt(world)
    assert code(world.ask(Resume(principal="operator", halt_index=second, signatures=old))) == "owner-threshold"
    assert code(world.ask(Resume(principal="operator", halt_index=first, signatures=old))) == "not-halted"


# Activation


def stranger_activates(world: World, data: bytes) -> Activate:
    strangers = [Ed25519PrivateKey.generate() for _ in range(2)]
    act = OwnerAct("policy", 2, ORIGIN, sha256_hex(data))
    signatures = tuple(sign_owner_act(act, stranger) for stranger in strangers)
    return Activate(principal="operator", document="policy", data=data, signatures=signatures)


def tampered(command: Activate) -> Activate:
    """The same with one byte changed that leaves it a policy of the same name and version."""
    assert command.data.count(b"minComponents: 1") == 1
    data = command.data.replace(b"minComponents: 1", b"minComponents: 2")
    return Activate(principal="operator", document="policy", data=data, signatures=command.signatures)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(
            lambda w: w.activation("policy", 2, demo_policy(w.signers, version=2), owners=1),
            "owner-threshold",
            id="one owner where two are needed",
        ),
        pytest.param(
            lambda w: w.activation("policy", 1, demo_policy(w.signers, version=1)),
            "version-not-newer",
            id="a version that is not newer",
        ),
        pytest.param(
            lambda w: w.activation("policy", 3, demo_policy(w.signers, version=2)),
            "owner-threshold",
            id="signatures for another version",
        ),
        pytest.param(
            lambda w: stranger_activates(w, demo_policy(w.signers, version=2)),
            "owner-threshold",
            id="the signatures of strangers",
        ),
        pytest.param(
            lambda w: tampered(w.activation("policy", 2, demo_policy(w.signers, version=2))),
            "owner-threshold",
            id="a document with one byte changed",
        ),
        pytest.param(
            lambda w: Activate(
                principal="operator",
                document="policy",
                data=demo_policy(w.signers, version=2, level="minimum"),
                signatures=w.activation("policy", 2, demo_policy(w.signers, version=2)).signatures,
            ),
            "owner-threshold",
            id="signatures for other bytes",
        ),
        pytest.param(
            lambda w: Activate(
                principal="operator",
                document="policy",
                data=demo_policy(w.signers, version=2),
                signatures=w.sign("access", 2, sha256_hex(demo_policy(w.signers, version=2))),
            ),
            "owner-threshold",
            id="signatures for another sort of document",
        ),
        pytest.param(lambda w: w.activation("policy", 2, b"{}"), "policy-invalid", id="no policy"),
        pytest.param(lambda w: w.activation("access", 2, b"{}"), "access-invalid", id="no access document"),
        pytest.param(lambda w: w.activation("trust", 2, b"{}"), "malformed-frame", id="no such sort of document"),
        pytest.param(
            lambda w: w.activation("access", 2, access_document(version=2).replace(b"name: access", b"name: other")),
            "access-renamed",
            id="a second access document",
        ),
    ],
)
def test_nothing_comes_into_force_by(command: Callable[[World], Activate], expected: str, world: World) -> None:
    size = len(world.ledger.bodies)
    before = world.ledger.active_all("policy"), world.ledger.active_all("access")
    asked = command(world)
    reply = world.ask(asked)
    assert code(reply) == expected
    assert (world.ledger.active_all("policy"), world.ledger.active_all("access")) == before
    ((index, leaf),) = world.ledger.all()[size:]
    assert isinstance(leaf, leaves.Refusal)
    assert (leaf.reason, leaf.digest, leaf.principal) == (expected, sha256_hex(asked.data), "operator")
    assert isinstance(reply, Failed)
    assert reply.detail.endswith(f"; the refusal is leaf {index}")


def test_a_refusal_says_what_the_document_says_of_itself(world: World) -> None:
    world.ask(world.activation("policy", 2, demo_policy(world.signers, version=2), owners=1))
    world.ask(world.activation("policy", 2, b"{}"))
    told = [leaf for _, leaf in world.ledger.of(leaves.Refusal) if isinstance(leaf, leaves.Refusal)]
    assert [(leaf.document, leaf.name, leaf.version) for leaf in told] == [("policy", "demo", 2), ("policy", "", 0)]


def test_a_refusal_that_cannot_be_written_is_no_answer(world: World) -> None:
    world.ledger.fault = "before"
    command = world.activation("policy", 2, demo_policy(world.signers, version=2), owners=1)
    assert code(world.ask(command)) == "ledger-unavailable"


def test_an_activation_keeps_the_document_and_every_signature(world: World) -> None:
    command = world.activation("policy", 2, demo_policy(world.signers, version=2))
    reply = world.ask(command)
    assert isinstance(reply, Done)
    leaf = world.ledger.all()[reply.leaf][1]
    assert isinstance(leaf, leaves.Activation)
    assert (leaf.name, leaf.version, leaf.digest) == ("demo", 2, sha256_hex(command.data))
    assert [world.ledger.documents[digest].data for digest in leaf.signatures] == list(command.signatures)
    assert world.ledger.documents[leaf.digest].data == command.data


# Trust


def update(world: World, *, version: int = 2, signed_by: int = 2, **changes: Any) -> Reply:
    data = world.trust_document(version=version, **changes)
    signatures = world.sign("trust", version, sha256_hex(data), owners=signed_by)
    return world.ask(UpdateTrust(principal="operator", data=data, signatures=signatures))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"origin": "other.invalid"}, "trust-foreign", id="of another ledger"),
        pytest.param({"genesis": "0" * 64}, "trust-foreign", id="of another genesis"),
        pytest.param({"dev": True}, "trust-foreign", id="that turns dev on"),
        pytest.param({"verifier": "https://other.invalid"}, "trust-foreign", id="of another verifier"),
        pytest.param({"ledger_keys": ("other",)}, "trust-foreign", id="without the ledger key"),
        pytest.param({"version": 1}, "trust-rollback", id="that is not newer"),
        pytest.param({"signed_by": 1}, "owner-threshold", id="that one owner signed where two are needed"),
    ],
)
def test_no_trust_document(changes: dict[str, Any], expected: str, world: World) -> None:
    assert code(update(world, **changes)) == expected


def test_no_trust_document_lists_a_key_that_the_ledger_did_not_record(world: World) -> None:
    world.spki = spki_der(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert code(update(world)) == "key-not-recorded"


def test_new_owners_take_over_by_an_act_of_the_old_ones(world: World) -> None:
    newcomers = tuple(Ed25519PrivateKey.generate() for _ in range(2))
    keys = tuple(spki_der(owner.public_key()) for owner in newcomers)
    data = world.trust_document(version=2, owners=keys)
    command = UpdateTrust(principal="operator", data=data, signatures=world.sign("trust", 2, sha256_hex(data)))
    assert isinstance(world.ask(command), Done)
    policy = demo_policy(world.signers, version=2)
    assert code(world.ask(world.activation("policy", 2, policy))) == "owner-threshold", "the old ones are out"
    act = OwnerAct("policy", 2, ORIGIN, sha256_hex(policy))
    signatures = tuple(sign_owner_act(act, owner) for owner in newcomers)
    activation = Activate(principal="operator", document="policy", data=policy, signatures=signatures)
    assert isinstance(world.ask(activation), Done)


# Keys


def look(world: World, spki: bytes, *, name: str = "spare", error: str = "") -> Reply:
    assert world.turn(AddKey(principal="operator:0", name=name, generate=True)) == {}
    ((ticket, _, _),) = world.tokens.looks
    world.tokens.looks.clear()
    (reply,) = world.turn(events=[KeyLocated(ticket=ticket, spki=spki, code=error, detail=error)]).values()
    return reply


def test_a_key_is_pinned_when_its_token_has_shown_it(world: World) -> None:
    spki = spki_der(ec.generate_private_key(ec.SECP256R1()).public_key())
    reply = look(world, spki)
    assert isinstance(reply, Done)
    leaf = world.ledger.all()[reply.leaf][1]
    assert isinstance(leaf, leaves.Key)
    assert (leaf.event, leaf.name, leaf.kid, leaf.purpose) == ("created", "spare", keyid(spki), "statement")
    assert leaf.principal == "operator:0"
    assert look(world, spki) == reply, "again: the same leaf"


def test_a_recorded_key_is_never_made_anew(world: World) -> None:
    world.turn(AddKey(principal="operator", name="release", generate=True))
    world.turn(AddKey(principal="operator", name="spare", generate=True))
    assert [generate for _, _, generate in world.tokens.looks] == [False, True]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        pytest.param(lambda w: look(w, w.spki), "key-shared", id="a key that serves another name"),
        pytest.param(
            lambda w: look(w, spki_der(ec.generate_private_key(ec.SECP256R1()).public_key()), name="release"),
            "key-pin-mismatch",
            id="another key under a recorded name",
        ),
        pytest.param(lambda w: look(w, b"", error="key-missing"), "key-missing", id="a key that is not there"),
        pytest.param(
            lambda w: look(w, spki_der(ec.generate_private_key(ec.SECP384R1()).public_key())),
            "invalid-key",
            id="a key on another curve",
        ),
        pytest.param(
            lambda w: w.ask(AddKey(principal="operator", name="unknown", generate=True)),
            "key-not-configured",
            id="a name that settings lack",
        ),
    ],
)
def test_does_not_record(ask: Callable[[World], Reply], expected: str, world: World) -> None:
    size = len(world.ledger.bodies)
    assert code(ask(world)) == expected
    assert len(world.ledger.bodies) == size


@pytest.mark.parametrize("alarm", ["key-pin-mismatch", "self-check-failed"])
def test_a_wrong_key_halts_until_the_owners_resume(alarm: str, world: World) -> None:
    world.turn(events=[Alarm(alarm, "another key"), Alarm(alarm, "another key")])
    halts = world.ledger.of(leaves.HaltLeaf)
    assert len(halts) == 1, "one halt, however often it is seen"
    index, leaf = halts[0]
    assert isinstance(leaf, leaves.HaltLeaf)
    assert (leaf.principal, leaf.reason) == ("custodian", f"{alarm}: another key")
    assert code(world.ask(world.decide())) == "halted"
    assert isinstance(resume(world, index), Done)


def test_an_alarm_that_comes_while_all_is_halted_does_not_outlive_the_owners_resume(world: World) -> None:
    world.turn(events=[Alarm("key-pin-mismatch", "another key")])
    world.turn(events=[Alarm("key-pin-mismatch", "another key")])
    (index, _) = world.ledger.of(leaves.HaltLeaf)[0]
    assert isinstance(resume(world, index), Done)
    world.turn()
    assert len(world.ledger.of(leaves.HaltLeaf)) == 1
    assert not world.tokens.stopped


def test_an_alarm_that_cannot_be_written_stops_the_keys_until_it_is(world: World) -> None:
    command = world.decide()
    world.ledger.fault = "before"
    world.turn(events=[Alarm("key-pin-mismatch", "another key")])
    assert world.tokens.stopped
    world.ledger.fault = None
    assert [code(reply) for reply in world.turn(command).values()] == ["halted"]
    assert [type(leaf) for _, leaf in world.ledger.all()[-1:]] == [leaves.HaltLeaf]
    world.turn()
    assert len(world.ledger.of(leaves.HaltLeaf)) == 1


# Evidence


def test_evidence_is_kept_once_and_answers_with_its_first_leaf(world: World) -> None:
    items = world.judge(world.evidence(subject(1)), subject(1)).new
    first = world.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=items[:2]))
    assert isinstance(first, Kept)
    again = world.ask(KeepEvidence(request_id="1" * 32, principal="robot:ci", policy="demo", items=items))
    assert isinstance(again, Kept)
    assert again.leaves[:2] == first.leaves
    assert [digest for digest, _ in again.leaves] == [item.digest for item in items]
    assert len(world.ledger.of(leaves.Evidence)) == len(items)


def test_evidence_that_is_kept_already_needs_no_append(world: World) -> None:
    items = world.judge(world.evidence(subject(1)), subject(1)).new
    command = KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=items)
    first = world.ask(command)
    appends = len(world.ledger.appends)
    assert world.ask(command) == first
    assert len(world.ledger.appends) == appends


@pytest.mark.parametrize("principal", ["robot:reader", "robot:nobody", "person:alice"])
def test_evidence_is_taken_by_grant_alone(principal: str, world: World) -> None:
    items = world.judge(world.evidence(subject(1)), subject(1)).new
    command = KeepEvidence(request_id="0" * 32, principal=principal, policy="demo", items=items)
    assert code(world.ask(command)) == "not-found"


# Status


def status(world: World) -> StatusReport:
    reply = world.ask(Status())
    assert isinstance(reply, StatusReport)
    return reply


def test_status_is_ready_when_every_needed_key_can_sign(world: World) -> None:
    report = status(world)
    assert (report.ready, report.problems, report.origin) == (True, (), ORIGIN)
    assert report.keys == (("release", True), ("spare", False))
    assert report.tree_size == len(world.ledger.bodies)


def unplug(world: World) -> None:
    """Long enough that it is no passing trouble."""
    world.tokens.reason = "unplugged"
    for _ in range(4):
        world.turn()
        world.clock.move(0.6)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        pytest.param(unplug, "unplugged", id="the token is gone"),
        pytest.param(halt, "halted", id="signing is halted"),
        pytest.param(lambda w: w.publish_trust(version=2, status="retired"), "trust", id="the key is not trusted"),
    ],
)
def test_status_says_what_is_missing(break_it: Callable[[World], object], says: str, world: World) -> None:
    break_it(world)
    report = status(world)
    assert not report.ready
    assert any(says in problem for problem in report.problems)
