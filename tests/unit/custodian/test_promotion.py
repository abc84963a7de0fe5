# SPDX-License-Identifier: Apache-2.0
"""A digest on its way from one environment to the next: soak, freeze, hold."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from policy.document import parse_policy
from signer.custodian.commands import Check, Checked, Decide, Done, NotSigned, Reply, Signed
from signer.domain.subject import Subject
from signer.ledger.leaves import Decision, decode_leaf
from tests.authority import demo_policy, subject
from tests.unit.custodian.world import World

SOAK = "{id: SOK-1, type: deployment.soak, control: deployment, level: minimum, after: release, minSoak: 2h}"
HUMAN = "{id: APR-1, type: approval.human, control: deployment, level: minimum, groups: {sre: 1}, ttl: 72h}"


def frozen(world: World) -> str:
    """A freeze that is in force now and for a year."""
    began = world.clock.time.replace(microsecond=0, minute=0, second=0)
    window = f"{began:%Y-%m-%dT%H:%M:%SZ}/{began + timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}"
    return (
        "{id: FRZ-1, type: deployment.freeze, control: deployment, level: minimum, "
        f'windows: ["{window}"], reason: year end}}'
    )


def promoting(world: World, *rules: str) -> None:
    """Put a policy in force that signs for production with these rules beside all of its own."""
    before = demo_policy(world.signers, version=2).decode()
    own = [rule.id for rule in parse_policy(before.encode()).rules]
    head, _, stages = before.partition("environments:\n")
    release = stages.replace('require: ["*"]', f"require: {json.dumps(own)}")
    production = release.replace('"release": {require', '"production": {require', 1).replace(json.dumps(own), '["*"]')
    more = "".join(f"  - {rule}\n" for rule in rules)
    document = f"{head}{more}environments:\n{release}{production}"
    assert isinstance(world.ask(world.activation("policy", 2, document.encode())), Done)


def asked(world: World, environment: str, named: Subject, *, key: str | None = None, **options: Any) -> Decide:
    command = world.decide(named, key=key, **options)
    return replace(command, judge=replace(command.judge, environment=environment))


def verdict(reply: Reply) -> tuple[str, dict[str, str]]:
    """The verdict of an answer that signed nothing, and how each rule ended that did not pass."""
    assert isinstance(reply, NotSigned | Checked)
    document = json.loads(reply.decision)
    findings = {each["rule"]: each["outcome"] for each in document["findings"] if each["outcome"] != "pass"}
    return document["verdict"], findings


@pytest.fixture
def world() -> World:
    return World()


def test_a_digest_goes_on_when_it_was_signed_before_for_long_enough(world: World) -> None:
    promoting(world, SOAK)
    shop = subject(1)
    assert verdict(world.ask(asked(world, "production", shop))) == ("deny", {"SOK-1": "unknown"})
    assert isinstance(world.ask(asked(world, "release", shop)), Signed)
    assert verdict(world.ask(asked(world, "production", shop))) == ("deny", {"SOK-1": "fail"})
    world.clock.move(7200)
    assert isinstance(world.ask(asked(world, "production", shop)), Signed)
    assert verdict(world.ask(asked(world, "production", subject(2))))[1] == {"SOK-1": "unknown"}


def test_the_time_counts_from_the_first_signature(world: World) -> None:
    promoting(world, SOAK)
    shop = subject(1)
    assert isinstance(world.ask(asked(world, "release", shop)), Signed)
    world.clock.move(7200)
    assert isinstance(world.ask(asked(world, "release", shop)), Signed)
    assert isinstance(world.ask(asked(world, "production", shop)), Signed)


def test_an_allow_that_was_not_signed_is_no_step(world: World) -> None:
    promoting(world, SOAK)
    shop = subject(1)
    world.turn(asked(world, "release", shop))
    world.turn(events=world.tokens.end("failed", reason="token"))
    world.clock.move(7200)
    assert verdict(world.ask(asked(world, "production", shop)))[1] == {"SOK-1": "unknown"}


def test_separation_of_duty_is_unknown_while_nobody_says_who_wrote_the_change(world: World) -> None:
    promoting(world, HUMAN)
    triggered = world.evidence(subject(1), triggered_by="email:forge@acme.example")
    reply = world.ask(asked(world, "production", subject(1), evidence=triggered))
    answer, stopping = verdict(reply)
    assert (answer, stopping["APR-1"]) == ("deny", "unknown")


def test_a_freeze_is_judged_anew_under_the_same_key(world: World) -> None:
    promoting(world, frozen(world))
    command = asked(world, "production", subject(1), key="one")
    first = world.ask(command)
    assert verdict(first) == ("deny", {"FRZ-1": "frozen"})
    world.clock.move(60)
    again = world.ask(replace(command, judge=replace(command.judge, request_id="ab" * 16)))
    assert isinstance(first, NotSigned)
    assert isinstance(again, NotSigned)
    assert again.leaf > first.leaf
    assert isinstance(decode_leaf(world.ledger.bodies[again.leaf]), Decision)


def test_a_check_answers_the_six_questions(world: World) -> None:
    promoting(world, SOAK)
    reply = world.ask(Check(judge=asked(world, "production", subject(1)).judge))
    assert isinstance(reply, Checked)
    document = json.loads(reply.decision)
    assert [each["id"] for each in document["questions"]] == [
        *("digest", "source", "pipeline", "tests", "findings", "rollback")
    ]
    assert document["questions"][-1]["answer"] == "unknown"
    assert len(document["answers"]) == 64
