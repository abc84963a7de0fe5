# SPDX-License-Identifier: Apache-2.0
"""/v1/waivers: who may bring and end one, what the custodian is told, and what the list says of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from signer.custodian.commands import Done, EndWaiver, Failed, RecordWaiver
from signer.formats.canonical import sha256_hex
from signer.formats.rfc3339 import format_time
from signer.formats.strict_base64 import encode_base64
from signer.formats.waiver import PAYLOAD_TYPE, WaiverStatement
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import Decision, Outcome, PolicyRef, WaiverEndLeaf, WaiverLeaf
from signer.ledger.sequencer import Entry
from tests.unit.web.test_activation import PREFIX, with_grant
from tests.unit.web.world import NOW, World
from tests.waivers import signed, waiver

SUBJECTS = b'{"subjects":[{"digest":{"sha256":"' + b"9c" * 32 + b'"},"name":"shop"}]}'
FACTS = b'{"evidence":{"provenance":[]}}'


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world in which olga may waive under the policy demo."""
    return with_grant(make_world(), "[waive]", "[demo]")


def keep(world: World, statement: WaiverStatement) -> str:
    documents = (
        StoredDocument.of(statement.payload(), media_type=PAYLOAD_TYPE),
        StoredDocument.of(signed(statement)),
    )
    leaf = WaiverLeaf(
        time=format_time(NOW),
        digest=documents[0].digest,
        envelope=documents[1].digest,
        policy=statement.policy,
        environment=statement.environment,
        requester="person:1",
        approver="person:2",
        renewal=0,
        principal="person:2",
    )
    world.sequencer.append([Entry(leaf, documents)])
    return leaf.digest


def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = world.client().get(f"/v1/waivers{query}")
    assert answer.status_code == 200, answer.get_data()
    found: list[dict[str, Any]] = answer.get_json()["waivers"]
    return found


def test_a_waiver_is_brought_byte_for_byte(world: World) -> None:
    world.custodian.replies = [Done(leaf=9)]
    statement = waiver(now=NOW)
    envelope = signed(statement)
    answer = world.client().post("/v1/waivers", json={"waiver": encode_base64(envelope)})
    assert (answer.status_code, answer.get_json()) == (201, {"leaf": 9, "digest": statement.digest})
    assert world.custodian.asked == [RecordWaiver(principal="person:olga", envelope=envelope)]


def test_a_waiver_is_ended_with_its_reason(world: World) -> None:
    world.custodian.replies = [Done(leaf=9)]
    answer = world.client().post(f"/v1/waivers/{'ab' * 32}/end", json={"reason": "mended"})
    assert (answer.status_code, answer.get_json()) == (200, {"leaf": 9, "digest": "ab" * 32})
    assert world.custodian.asked == [EndWaiver(principal="person:olga", waiver="ab" * 32, reason="mended")]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("waiver-one-person", 403),
        ("waiver-unsigned", 403),
        ("waiver-not-granted", 403),
        ("waiver-foreign", 403),
        ("rule-not-waivable", 403),
        ("rule-not-required", 409),
        ("waiver-recorded", 409),
        ("waiver-expired", 409),
        ("waiver-too-long", 409),
        ("waiver-renewal", 409),
        ("waiver-limit", 409),
    ],
)
def test_what_the_custodian_refuses_is_answered_with_its_reason(world: World, code: str, status: int) -> None:
    world.custodian.replies = [Failed(family="refused", code=code, detail="d", remedy="r")]
    answer = world.client().post("/v1/waivers", json={"waiver": encode_base64(signed(waiver(now=NOW)))})
    assert (answer.status_code, answer.get_json()["type"]) == (status, PREFIX + code)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 400, id="nothing"),
        pytest.param({"waiver": 7}, 400, id="a number"),
        pytest.param({"waiver": "!!!!"}, 400, id="no base64"),
        pytest.param({"waiver": encode_base64(b"{}")}, 422, id="no envelope"),
        pytest.param({"waiver": encode_base64(signed(waiver(now=NOW))), "skip": True}, 400, id="a member more"),
    ],
)
def test_what_is_no_waiver_reaches_no_custodian(world: World, body: dict[str, Any], status: int) -> None:
    answer = world.client().post("/v1/waivers", json=body)
    assert answer.status_code == status
    assert world.custodian.asked == []


def test_without_the_grant_nothing_is_brought_ended_or_seen(world: World) -> None:
    keep(world, waiver(now=NOW))
    world.san = "spiffe://dev.invalid/robot/other"
    brought = world.client().post("/v1/waivers", json={"waiver": encode_base64(signed(waiver(now=NOW)))})
    ended = world.client().post(f"/v1/waivers/{'ab' * 32}/end", json={"reason": "mended"})
    assert (brought.status_code, ended.status_code) == (403, 403)
    assert world.custodian.asked == []
    assert listed(world) == []


def test_the_list_says_what_became_of_each(world: World) -> None:
    def kept(**changes: Any) -> str:
        return keep(world, waiver(**{"now": NOW, **changes}))

    far = NOW + timedelta(days=31)
    expected = {
        kept(ticket="in force", expires=far): "in-force",
        kept(ticket="soon"): "expiring",
        kept(ticket="early", not_before=NOW + timedelta(days=1), expires=far): "early",
        kept(ticket="gone", now=NOW - timedelta(days=20)): "expired",
        kept(ticket="used", expires=far): "used-up",
        kept(ticket="failed", expires=far): "in-force",
        kept(ticket="ended"): "ended",
    }
    used, failed, ended = (list(expected)[at] for at in (4, 5, 6))
    end = WaiverEndLeaf(time=format_time(NOW), waiver=ended, reason="mended", principal="person:2")
    world.sequencer.append([Entry(end)])
    allow(world, used)
    allow(world, failed, status="failed")
    rows = listed(world)
    assert {row["digest"]: row["state"] for row in rows} == expected
    assert [row["leaf"] for row in rows] == sorted((row["leaf"] for row in rows), reverse=True)
    by_digest = {row["digest"]: row for row in rows}
    assert (by_digest[used]["uses"], by_digest[failed]["uses"]) == (1, 0)
    assert by_digest[ended]["end"]["reason"] == "mended"
    assert by_digest[used]["statement"]["requestedBy"] == "bob"


def allow(world: World, digest: str, *, status: str = "signed") -> None:
    """Write down an ALLOW that rests on a waiver, and its outcome."""
    documents = [StoredDocument.of(data) for data in (SUBJECTS, FACTS, b"findings", b'{"evidence":[]}')]
    subjects, facts, findings, evidence = (each.digest for each in documents)
    request = sha256_hex(digest.encode())[:32]
    decision = Decision(
        time=format_time(NOW),
        request=request,
        principal="robot:ci",
        policy=PolicyRef(name="demo", version=1, digest="d" * 64),
        access="e" * 64,
        environment="release",
        verdict="allow",
        subjects=subjects,
        facts=facts,
        findings=findings,
        evidence=evidence,
        first="9c" * 32,
        count=1,
        waivers=(digest,),
    )
    first = world.sequencer.append([Entry(decision, tuple(documents))]).first
    outcome = Outcome(time=format_time(NOW), request=request, decision=first, status=status, reason="", signatures=())
    world.sequencer.append([Entry(outcome)])


def test_the_list_is_filtered_by_policy_and_environment(world: World) -> None:
    digest = keep(world, waiver(now=NOW))
    assert [row["digest"] for row in listed(world, "?policy=demo&environment=release")] == [digest]
    assert listed(world, "?policy=other") == []
    assert listed(world, "?environment=staging") == []
    assert sha256_hex(waiver(now=NOW).payload()) == digest
