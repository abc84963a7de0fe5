# SPDX-License-Identifier: Apache-2.0
"""Policies and rules in shadow: judged after the answers, recorded as leaves, and the gate before they gate."""

from __future__ import annotations

import pytest

from signer.custodian.commands import Activate, Done, Failed, NotSigned, Reply, Signed
from signer.custodian.shadowing import BATCH, LINGER_NS
from signer.formats.canonical import sha256_hex
from signer.formats.shadow_results import ShadowResult, decode_results
from signer.ledger import leaves
from tests.authority import demo_policy, subject
from tests.unit.custodian.world import World

QUICK = b"promotion: {decisions: 2, period: 0s}\n"
WEEK = b"promotion: {decisions: 2, period: 7d}\n"
TIGHT = (b"minComponents: 1", b"minComponents: 1000")
LOOSE = (b'require: ["*"]', b"require: [BLD-1, BLD-2, TST-1, SRC-1, SRC-2, SBM-1]")
SHADOWED = (b"minComponents: 1}", b"minComponents: 1000, mode: shadow}")


def text(world: World, version: int, *changes: tuple[bytes, bytes], tail: bytes = b"") -> bytes:
    data = demo_policy(world.signers, version=version)
    for old, new in changes:
        assert data.count(old) == 1, old
        data = data.replace(old, new)
    return data + tail


@pytest.fixture
def world() -> World:
    return World()


def activate(world: World, data: bytes, *, version: int, sort: str = "policy", names: tuple[str, ...] = ()) -> Reply:
    signatures = world.sign("shadow" if sort == "shadow" else "policy", version, sha256_hex(data))
    command = Activate(principal="operator", document=sort, data=data, signatures=signatures, acknowledged=names)
    return world.ask(command)


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


def rest(world: World, *, linger: bool = True) -> int:
    """Use all leisure; how many steps found something to do."""
    steps = 0
    while world.authority.rest():
        steps += 1
    if linger:
        world.clock.move(LINGER_NS / 1e9)
        while world.authority.rest():
            steps += 1
    return steps


def results(world: World) -> list[ShadowResult]:
    return [
        result
        for _, leaf in world.ledger.of(leaves.ShadowLeaf)
        if isinstance(leaf, leaves.ShadowLeaf)
        for result in decode_results(world.ledger.documents[leaf.results].data)
    ]


def begin(world: World, *changes: tuple[bytes, bytes], tail: bytes = QUICK) -> bytes:
    """Version 2 in force with this gate, version 3 with these changes in shadow."""
    assert isinstance(activate(world, text(world, 2, tail=tail), version=2), Done)
    draft = text(world, 3, *changes, tail=tail)
    assert isinstance(activate(world, draft, version=3, sort="shadow"), Done)
    return draft


def test_a_policy_in_shadow_leaves_the_verdict_and_says_its_own(world: World) -> None:
    begin(world, TIGHT)
    assert isinstance(world.ask(world.decide(subject(1))), Signed)
    assert isinstance(world.ask(world.denied(subject(2))), NotSigned)
    rest(world)
    found = results(world)
    assert [(each.outcome, each.flip, each.rules) for each in found] == [
        ("deny", "deny", {"SBM-1": "fail"}),
        ("deny", "", {}),
    ]
    assert [each.decision for each in found] == [index for index, _ in world.ledger.of(leaves.Decision)]


def test_a_loosened_policy_in_shadow_names_the_rules_that_stopped_it(world: World) -> None:
    begin(world, LOOSE)
    evidence = world.evidence(subject(1))
    without_scan = [each for at, each in enumerate(evidence) if at != 3]
    assert isinstance(world.ask(world.decide(subject(1), evidence=without_scan)), NotSigned)
    rest(world)
    assert [(each.flip, each.rules) for each in results(world)] == [("allow", {"VUL-1": "pass"})]


def test_nothing_is_judged_in_shadow_before_the_answer(world: World) -> None:
    begin(world, TIGHT)
    world.journal.clear()
    world.ask(world.decide(subject(1)))
    assert "answer Signed" in world.journal
    assert results(world) == []
    rest(world)
    assert len(results(world)) == 1


def test_results_wait_for_company_and_no_longer_than_they_may(world: World) -> None:
    begin(world, TIGHT)
    world.ask(world.decide(subject(1)))
    assert rest(world, linger=False) == 1
    assert world.ledger.of(leaves.ShadowLeaf) == []
    assert rest(world) == 1
    assert len(world.ledger.of(leaves.ShadowLeaf)) == 1


def test_a_full_batch_is_one_leaf(world: World) -> None:
    begin(world, TIGHT)
    for number in range(BATCH):
        world.ask(world.denied(subject(number)))
    rest(world, linger=False)
    ((_, leaf),) = world.ledger.of(leaves.ShadowLeaf)
    assert isinstance(leaf, leaves.ShadowLeaf)
    assert (leaf.count, leaf.last) == (BATCH, world.ledger.of(leaves.Decision)[-1][0])


def test_after_a_restart_the_rest_is_judged_and_nothing_twice(world: World) -> None:
    begin(world, TIGHT)
    world.ask(world.decide(subject(1)))
    rest(world)
    world.ask(world.decide(subject(2)))
    rest(world, linger=False)  # judged, not written: the process ends here
    world.authority = world.new_authority()
    rest(world)
    decisions = [index for index, _ in world.ledger.of(leaves.Decision)]
    assert [each.decision for each in results(world)] == decisions


def test_results_that_could_not_be_written_are_judged_again(world: World) -> None:
    begin(world, TIGHT)
    world.ask(world.decide(subject(1)))
    world.ledger.fault = "before"
    rest(world)
    assert results(world) == []
    world.ledger.fault = None
    rest(world)
    assert len(results(world)) == 1


def test_a_decision_from_before_is_not_judged(world: World) -> None:
    world.ask(world.decide(subject(1)))
    begin(world, TIGHT)
    assert rest(world) == 0


def test_a_shadow_ends_when_a_version_as_new_is_in_force(world: World) -> None:
    begin(world, TIGHT)
    assert isinstance(activate(world, text(world, 4, tail=QUICK), version=4), Done)
    world.ask(world.decide(subject(1)))
    assert rest(world) == 0


@pytest.mark.parametrize("version", [1, 2], ids=["older", "the same"])
def test_a_shadow_is_newer_than_what_is_in_force(version: int, world: World) -> None:
    activate(world, text(world, 2), version=2)
    data = text(world, version, TIGHT)
    assert code(activate(world, data, version=version, sort="shadow")) == "version-not-newer"


def test_a_shadow_needs_a_policy_in_force(world: World) -> None:
    data = text(world, 2, (b'name: "demo"', b"name: other"))
    assert code(activate(world, data, version=2, sort="shadow")) == "policy-missing"


def test_signatures_for_a_shadow_put_nothing_in_force(world: World) -> None:
    data = text(world, 2)
    signatures = world.sign("shadow", 2, sha256_hex(data))
    assert code(world.ask(Activate(principal="operator", document="policy", data=data, signatures=signatures))) == (
        "owner-threshold"
    )
    other = world.sign("policy", 2, sha256_hex(data))
    assert code(world.ask(Activate(principal="operator", document="shadow", data=data, signatures=other))) == (
        "owner-threshold"
    )


# The gate


def watched(world: World, *changes: tuple[bytes, bytes], decisions: int, tail: bytes = QUICK) -> bytes:
    draft = begin(world, *changes, tail=tail)
    for number in range(decisions):
        world.ask(world.decide(subject(number)))
    rest(world)
    return draft


def test_a_version_in_shadow_comes_into_force_when_it_turned_nothing(world: World) -> None:
    draft = watched(world, decisions=2)
    assert isinstance(activate(world, draft, version=3), Done)


def test_a_version_in_shadow_that_turns_decisions_needs_its_rules_named(world: World) -> None:
    draft = watched(world, TIGHT, decisions=2)
    refused = activate(world, draft, version=3)
    assert code(refused) == "flips-unacknowledged"
    assert isinstance(refused, Failed)
    assert "would have turned 2 decisions, by SBM-1" in refused.detail
    assert "--acknowledge SBM-1" in refused.remedy
    assert code(activate(world, draft, version=3, names=("VUL-1",))) == "flips-unacknowledged"
    reply = activate(world, draft, version=3, names=("SBM-1",))
    assert isinstance(reply, Done)
    leaf = world.ledger.all()[reply.leaf][1]
    assert isinstance(leaf, leaves.Activation)
    assert leaf.acknowledged == ("SBM-1",)


@pytest.mark.parametrize(
    ("decisions", "tail"),
    [pytest.param(1, QUICK, id="too few decisions"), pytest.param(2, WEEK, id="too short a time")],
)
def test_a_version_in_shadow_waits(decisions: int, tail: bytes, world: World) -> None:
    draft = watched(world, decisions=decisions, tail=tail)
    refused = activate(world, draft, version=3)
    assert code(refused) == "promotion-too-early"
    assert world.ledger.active_all("policy")[0].version == 2
    assert isinstance(world.ledger.all()[-1][1], leaves.Refusal)


def test_what_the_draft_demands_of_itself_does_not_count(world: World) -> None:
    assert isinstance(activate(world, text(world, 2, tail=WEEK), version=2), Done)
    draft = text(world, 3, tail=QUICK)
    activate(world, draft, version=3, sort="shadow")
    for number in range(3):
        world.ask(world.decide(subject(number)))
    rest(world)
    assert code(activate(world, draft, version=3)) == "promotion-too-early"


def test_another_version_than_the_one_in_shadow_passes_the_gate(world: World) -> None:
    watched(world, TIGHT, decisions=0)
    assert isinstance(activate(world, text(world, 4, tail=QUICK), version=4), Done)


def rule_in_shadow(world: World, *, decisions: int, tail: bytes = QUICK) -> None:
    assert isinstance(activate(world, text(world, 2, SHADOWED, tail=tail), version=2), Done)
    for number in range(decisions):
        assert isinstance(world.ask(world.decide(subject(number))), Signed)


def test_a_rule_in_shadow_comes_into_force_when_its_flips_are_named(world: World) -> None:
    rule_in_shadow(world, decisions=2)
    draft = text(world, 3, TIGHT, tail=QUICK)
    refused = activate(world, draft, version=3)
    assert code(refused) == "flips-unacknowledged"
    assert isinstance(refused, Failed)
    assert "rule SBM-1 would have turned 2 decisions" in refused.detail
    assert isinstance(activate(world, draft, version=3, names=("SBM-1",)), Done)
    assert isinstance(world.ask(world.decide(subject(9))), NotSigned)


@pytest.mark.parametrize(
    ("decisions", "tail"),
    [pytest.param(1, QUICK, id="too few decisions"), pytest.param(2, WEEK, id="too short a time")],
)
def test_a_rule_in_shadow_waits(decisions: int, tail: bytes, world: World) -> None:
    rule_in_shadow(world, decisions=decisions, tail=tail)
    assert code(activate(world, text(world, 3, TIGHT, tail=tail), version=3)) == "promotion-too-early"


def test_a_rule_that_judges_otherwise_was_not_watched(world: World) -> None:
    rule_in_shadow(world, decisions=2)
    draft = text(world, 3, (TIGHT[0], b"minComponents: 5000"), tail=QUICK)
    assert code(activate(world, draft, version=3, names=("SBM-1",))) == "promotion-too-early"


def test_a_rule_in_shadow_may_stay_there(world: World) -> None:
    rule_in_shadow(world, decisions=0)
    assert isinstance(activate(world, text(world, 3, SHADOWED, tail=QUICK), version=3), Done)
