# SPDX-License-Identifier: Apache-2.0
"""Invariant I1: durable before the key, durable before the answer, and nothing of either when the ledger fails."""

from __future__ import annotations

import pytest

from signer.custodian.commands import Failed, NotSigned, OutcomeUnknown, Signed
from signer.ledger import leaves
from tests.authority import subject
from tests.unit.custodian.world import World


@pytest.fixture
def world() -> World:
    return World()


def test_allow_is_durable_before_the_key_and_the_outcome_before_the_answer(world: World) -> None:
    world.turn(world.decide())
    assert world.journal == ["durable allow", "key"]
    world.turn(events=world.tokens.end())
    assert world.journal == ["durable allow", "key", "durable signed", "answer Signed"]


def test_a_denial_is_durable_before_it_is_answered_and_no_key_is_called(world: World) -> None:
    reply = world.ask(world.denied())
    assert isinstance(reply, NotSigned)
    assert world.journal == ["durable deny", "answer NotSigned"]
    assert reply.leaf == len(world.ledger.bodies) - 1


def test_one_append_holds_the_outcomes_and_the_decisions_of_a_turn(world: World) -> None:
    first, second = world.decide(subject(1)), world.decide(subject(2))
    world.turn(first)
    world.journal.clear()
    # The source attestation is about the commit that both share: the index must hold it before the second is judged.
    second = world.decide(subject(2))
    world.turn(second, world.denied(subject(3)), events=world.tokens.end())
    assert world.journal == [
        "durable signed",
        "durable allow",
        "durable deny",
        "key",
        "answer Signed",
        "answer NotSigned",
    ]
    assert world.ledger.appends[-1] == 3


def test_a_decision_and_its_own_outcome_never_share_an_append(world: World) -> None:
    world.turn(world.decide())
    assert world.tokens.jobs != [], "the key was asked"
    assert [type(leaf) for _, leaf in world.ledger.all()[-1:]] == [leaves.Decision]


@pytest.mark.parametrize("fault", ["before", "after"], ids=["nothing was stored", "stored, and the answer was lost"])
def test_a_failed_append_answers_everyone_503_and_calls_no_key(fault: str, world: World) -> None:
    commands = [world.decide(subject(1)), world.denied(subject(2))]
    world.ledger.fault = fault
    answers = world.turn(*commands)
    assert [(type(reply), reply.code) for reply in answers.values() if isinstance(reply, Failed)] == [
        (Failed, "ledger-unavailable")
    ] * 2
    assert "key" not in world.journal


def test_an_outcome_that_cannot_be_stored_drops_the_signature_and_the_sweep_closes_it(world: World) -> None:
    command = world.decide(key="k")
    world.turn(command)
    world.ledger.fault = "before"
    answers = world.turn(events=world.tokens.end())
    assert [type(reply) for reply in answers.values()] == [Failed]
    world.ledger.fault = None
    world.turn()
    outcome = world.ledger.all()[-1][1]
    assert isinstance(outcome, leaves.Outcome)
    assert (outcome.status, outcome.reason, outcome.signatures) == ("unknown", "unrecorded", ())
    assert isinstance(world.ask(world.decide(key="k", evidence=())), OutcomeUnknown), "asked again by its key"


def test_an_allow_whose_append_was_lost_is_closed_and_never_signed(world: World) -> None:
    world.ledger.fault = "after"
    world.turn(world.decide(key="k"))
    world.ledger.fault = None
    world.turn()
    assert world.ledger.open_decisions() == ()
    assert isinstance(world.ask(world.decide(key="k", evidence=())), OutcomeUnknown)
    assert world.tokens.jobs == []


def test_a_custodian_that_died_after_allow_closes_it_as_unknown_at_start(world: World) -> None:
    world.turn(world.decide(key="k"))
    lost = world.tokens.end()
    world.authority = world.new_authority()
    outcome = world.ledger.all()[-1][1]
    assert isinstance(outcome, leaves.Outcome)
    assert (outcome.status, outcome.reason) == ("unknown", "restart")
    assert lost, "a signature was made and went nowhere"
    reply = world.ask(world.decide(key="k", evidence=()))
    assert reply == OutcomeUnknown(
        request_id=outcome.request, decision_leaf=outcome.decision, outcome_leaf=len(world.ledger.bodies) - 1
    )


def test_the_sweep_leaves_what_is_in_work_alone(world: World) -> None:
    world.turn(world.decide())
    world.clock.move(60)
    world.turn()
    assert len(world.ledger.open_decisions()) == 1
    answers = world.turn(events=world.tokens.end())
    assert [type(reply) for reply in answers.values()] == [Signed]


def test_the_ledger_serves_again_after_a_fault_by_itself(world: World) -> None:
    world.ledger.fault = "before"
    assert isinstance(world.ask(world.denied()), Failed)
    world.ledger.fault = None
    assert isinstance(world.ask(world.decide()), Signed)
