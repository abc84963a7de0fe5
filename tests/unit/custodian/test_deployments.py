# SPDX-License-Identifier: Apache-2.0
"""Deployments and releases taken back, at the custodian."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from signer.custodian.commands import Decide, Done, Failed, Reply, Signed
from signer.custodian.release_commands import GateReport, RecordDeployment, RevokeRelease
from signer.formats.facts import decode_facts
from signer.formats.revocations import RevokedRelease, read_revocations
from signer.formats.rfc3339 import format_time
from signer.ledger import leaves
from signer.ledger.leaves import read_deployment
from tests.authority import SUBJECT, access_document, demo_policy, subject
from tests.unit.custodian.world import LEDGER_KEY, NOW, World

GRANTS = b"""  - {to: "robot:reader", actions: [deploy], policies: [demo], environments: [release], repositories: ["*"]}
  - {to: "person:bob", actions: [revoke], policies: [demo], environments: ["*"], repositories: ["github.com/acme/shop"]}
  - {to: "person:alice", actions: [revoke], policies: ["*"], environments: ["*"], repositories: ["github.com/acme/x"]}
"""
GATE = GateReport(verifier="signer 0.1.0", result="passed", reason="", receipt="ab" * 32, time=format_time(NOW))
SOAK = b"""
  - {id: SOK-1, type: deployment.soak, control: deployment, level: minimum, after: release, since: deployed}
environments:"""


@pytest.fixture
def world() -> World:
    world = World()
    assert isinstance(world.ask(world.activation("access", 2, access_document(version=2) + GRANTS)), Done)
    return world


def told(**changes: Any) -> RecordDeployment:
    return RecordDeployment(
        **{
            "principal": "robot:reader",
            "policy": "demo",
            "environment": "release",
            "status": "deployed",
            "reference": "registry.example/shop:1.2",
            "sha256": SUBJECT.sha256,
            "at": format_time(NOW),
            "approval": "",
            "gate": GATE,
            **changes,
        }
    )


def taken_back(**changes: Any) -> RevokeRelease:
    return RevokeRelease(
        **{
            "principal": "person:bob",
            "policy": "demo",
            "environment": "release",
            "sha256": SUBJECT.sha256,
            "reason": "backdoor found",
            **changes,
        }
    )


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a good one"),
        pytest.param({"sha256": "ee" * 32}, id="a digest that nobody knows"),
        pytest.param({"sha256": ""}, id="a bare tag"),
        pytest.param({"gate": None}, id="without a gate"),
        pytest.param({"approval": "CHG-17, by chat"}, id="an approval that the ledger lacks"),
        pytest.param(
            {"status": "refused", "gate": replace(GATE, result="failed", reason="key-revoked")}, id="refused by a gate"
        ),
    ],
)
def test_a_deployment_is_recorded_as_it_is_told(world: World, changes: dict[str, Any]) -> None:
    command = told(**changes)
    reply = world.ask(command)
    assert isinstance(reply, Done), reply
    leaf = leaves.decode_leaf(world.ledger.leaf(reply.leaf))
    assert isinstance(leaf, leaves.DeploymentLeaf)
    assert (leaf.status, leaf.reference, leaf.digest, leaf.approval) == (
        command.status,
        command.reference,
        command.sha256,
        command.approval,
    )
    assert (leaf.gate is None) == (command.gate is None)
    assert leaf.principal == "robot:reader"
    assert read_deployment(leaf).id == leaf.id


def test_what_is_told_twice_is_recorded_once(world: World) -> None:
    first, again = world.ask(told()), world.ask(told())
    other = world.ask(told(at=format_time(NOW + timedelta(seconds=1))))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    "changes",
    [
        {"principal": "robot:ci"},
        {"principal": "robot:nobody"},
        {"environment": "production"},
        {"policy": "other"},
    ],
)
def test_without_the_grant_nothing_is_recorded(world: World, changes: dict[str, Any]) -> None:
    before = len(world.ledger.bodies)
    assert code(world.ask(told(**changes))) == "not-found"
    assert len(world.ledger.bodies) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "perhaps"},
        {"reference": ""},
        {"reference": "a b"},
        {"reference": "x" * 513},
        {"reference": f"shop@sha256:{'ab' * 32}"},
        {"sha256": "AB" * 32},
        {"at": "yesterday"},
        {"approval": "x\ny"},
        {"gate": GateReport(verifier="v", result="maybe", reason="", receipt="", time=format_time(NOW))},
        {"gate": GateReport(verifier="v", result="failed", reason="", receipt="", time=format_time(NOW))},
    ],
)
def test_words_that_cannot_stand_in_a_record_are_refused(world: World, changes: dict[str, Any]) -> None:
    before = len(world.ledger.bodies)
    assert code(world.ask(told(**changes))) == "invalid-deployment"
    assert len(world.ledger.bodies) == before


def test_a_rule_counts_the_time_since_the_first_recorded_deployment(world: World) -> None:
    policy = demo_policy(world.signers, version=2).replace(b"\nenvironments:", SOAK, 1)
    policy = policy.replace(b'{require: ["*"]', b"{require: [BLD-1]", 1)
    policy += b"\n  next: {require: [SOK-1], key: release, formats: [vsa]}\n"
    assert isinstance(world.ask(world.activation("policy", 2, policy)), Done)
    world.ask(told(status="refused", gate=None))
    world.ask(told())
    leaf = world.ask(told(at=format_time(NOW - timedelta(days=9)), reference="registry.example/shop:1.3"))
    assert isinstance(leaf, Done)
    judge = replace(world.judge(world.evidence()), environment="next")
    assert isinstance(world.ask(Decide(judge=judge)), Signed)
    decision = world.ledger.decisions()[-1]
    facts = decode_facts(world.ledger.documents[decision.facts].data)
    (reached,) = facts.ledger.deployed
    # Recorded time counts: nobody makes a deployment older by saying so.
    assert (reached.environment, reached.at) == ("release", NOW)
    assert facts.ledger.allowed == ()


def test_what_is_taken_back_is_published_and_never_signed_again(world: World) -> None:
    assert isinstance(world.ask(world.decide()), Signed)
    reply = world.ask(taken_back())
    assert isinstance(reply, Done), reply
    listed = read_revocations(world.published[-1], [LEDGER_KEY.public_key()])
    (entry,) = listed.entries
    assert isinstance(entry, RevokedRelease)
    assert (entry.sha256, entry.environment, entry.leaf) == (SUBJECT.sha256, "release", reply.leaf)
    assert listed.release(SUBJECT.sha256, policy="demo", environment="release") == entry
    assert listed.release(SUBJECT.sha256, policy="demo", environment="staging") is None
    assert world.ask(taken_back(reason="again")) == reply
    assert code(world.ask(world.decide())) == "release-revoked"
    assert isinstance(world.ask(world.decide(subject(1))), Signed)
    # Also by the custodian that starts next.
    world.authority = world.new_authority()
    assert code(world.ask(world.decide())) == "release-revoked"


def test_all_environments_are_taken_back_at_once(world: World) -> None:
    world.ask(world.decide())
    assert isinstance(world.ask(taken_back(environment="*")), Done)
    assert code(world.ask(world.decide())) == "release-revoked"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"principal": "robot:ci"}, "not-found", id="without the grant"),
        pytest.param({"principal": "person:alice"}, "not-found", id="for another repository"),
        pytest.param({"sha256": "ee" * 32}, "not-found", id="a digest of no repository"),
        pytest.param({"environment": "staging"}, "not-signed", id="another environment"),
        pytest.param({"reason": ""}, "invalid-reason", id="without a reason"),
        pytest.param({"environment": "a b"}, "malformed-frame", id="no name of an environment"),
    ],
)
def test_what_may_not_be_taken_back_stays(world: World, changes: dict[str, Any], expected: str) -> None:
    world.ask(world.decide())
    assert code(world.ask(taken_back(**changes))) == expected
    assert world.ledger.revocations() == ()
