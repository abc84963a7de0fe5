# SPDX-License-Identifier: Apache-2.0
"""Replies of the custodian become statuses by one precedence, and the same bytes each time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signer.custodian.commands import (
    Checked,
    Done,
    Failed,
    Kept,
    NotSigned,
    OutcomeUnknown,
    Reply,
    Signed,
    StatusReport,
)
from signer.dev.attestations import attest, suite_statement
from signer.errors import Unavailable
from signer.formats.canonical import canonical
from tests.unit.web.world import SUBJECT, World

PREFIX = "urn:signing-authority:problem:"
RID = "ab" * 16


def finding(outcome: str, rule: str = "R-1") -> dict[str, Any]:
    return {
        "rule": rule,
        "type": "build.provenance",
        "control": "build",
        "level": "minimum",
        "outcome": outcome,
        "title": "a title",
        "required": "this",
        "found": "that",
        "evidence": ["9c" * 32],
        "bound": "subject",
        "remedy": "do it",
        "subjects": [0],
    }


def decision(verdict: str, *outcomes: str) -> bytes:
    findings = [finding(outcome, f"R-{number}") for number, outcome in enumerate(outcomes)]
    return canonical({"verdict": verdict, "findings": findings, "request_id": RID, "leaf": 4})


JUDGED: dict[str, tuple[bytes, int, str]] = {
    "a failure": (decision("deny", "pass", "fail"), 403, "denied"),
    "an unknown": (decision("deny", "pass", "unknown"), 409, "evidence-missing"),
    "a failure before an unknown": (decision("deny", "unknown", "fail"), 403, "denied"),
    "a hold": (decision("hold", "pass", "waiting"), 202, "waiting-for-approval"),
    "a freeze": (decision("deny", "pass", "frozen"), 423, "frozen"),
    "a freeze before a hold": (decision("deny", "waiting", "frozen"), 423, "frozen"),
    "a failure before a freeze": (decision("deny", "frozen", "fail"), 403, "denied"),
    "an unknown before a freeze": (decision("deny", "frozen", "unknown"), 409, "evidence-missing"),
    "an unknown before a hold": (decision("hold", "unknown"), 409, "evidence-missing"),
    "nothing passed": (decision("deny"), 403, "denied"),
}


@pytest.mark.parametrize(("document", "status", "code"), JUDGED.values(), ids=JUDGED.keys())
def test_a_judgement_has_one_status(lasting_world: World, document: bytes, status: int, code: str) -> None:
    for path, reply in (
        ("signatures", NotSigned(request_id=RID, leaf=4, decision=document)),
        ("checks", Checked(decision=document)),
    ):
        answer = ask(lasting_world, reply, path=path)
        assert (answer.status_code, answer.json["type"]) == (status, PREFIX + code)
        assert answer.content_type == "application/problem+json"
        assert answer.json["decision"] == json.loads(document)
        assert answer.json["retryable"] is (status in {202, 423})


def test_every_finding_in_the_way_is_told_failures_first(lasting_world: World) -> None:
    answer = ask(
        lasting_world,
        NotSigned(request_id=RID, leaf=4, decision=decision("deny", "unknown", "pass", "waived", "fail", "shadow")),
    )
    assert [(each["rule"], each["outcome"]) for each in answer.json["violations"]] == [
        ("R-3", "fail"),
        ("R-0", "unknown"),
    ]
    assert answer.json["violations"][0] == {
        "rule": "R-3",
        "outcome": "fail",
        "title": "a title",
        "required": "this",
        "found": "that",
        "evidence": ["9c" * 32],
        "remedy": "do it",
    }


REPLAYED: dict[str, tuple[Reply, int]] = {
    "signed": (Signed(request_id=RID, receipt=b'{"receipt":1}'), 200),
    "denied": (NotSigned(request_id=RID, leaf=4, decision=decision("deny", "fail")), 403),
    "evidence missing": (NotSigned(request_id=RID, leaf=4, decision=decision("deny", "unknown")), 409),
    "outcome unknown": (OutcomeUnknown(request_id=RID, decision_leaf=8, outcome_leaf=9), 409),
}


@pytest.mark.parametrize(("reply", "status"), REPLAYED.values(), ids=REPLAYED.keys())
def test_a_replay_is_the_same_answer_byte_for_byte(lasting_world: World, reply: Reply, status: int) -> None:
    first, second = ask(lasting_world, reply), ask(lasting_world, reply)
    assert first.status_code == second.status_code == status
    assert first.data == second.data
    assert first.headers["Request-Id"] != second.headers["Request-Id"]


def test_an_unknown_outcome_names_both_leaves(lasting_world: World) -> None:
    answer = ask(lasting_world, OutcomeUnknown(request_id=RID, decision_leaf=8, outcome_leaf=9))
    assert answer.json["type"] == PREFIX + "outcome-unknown"
    assert (answer.json["decision_leaf"], answer.json["outcome_leaf"]) == (8, 9)
    assert answer.json["request_id"] == RID
    assert answer.json["retryable"] is False


def test_a_receipt_passes_through_byte_for_byte(lasting_world: World) -> None:
    answer = ask(lasting_world, Signed(request_id=RID, receipt=b'{ "any": "spelling" }'))
    assert (answer.status_code, answer.data, answer.content_type) == (200, b'{ "any": "spelling" }', "application/json")


FAILED: dict[str, tuple[Failed, int]] = {
    "halted": (Failed(family="refused", code="halted", detail="d", remedy="r"), 423),
    "a conflict": (Failed(family="refused", code="idempotency-conflict", detail="d", remedy="r"), 409),
    "malformed": (Failed(family="malformed", code="invalid-digest", detail="d", remedy="r"), 400),
    "unavailable": (
        Failed(family="unavailable", code="ledger-unavailable", detail="d", remedy="r", retry_after=3),
        503,
    ),
    "a code that the table lacks": (Failed(family="refused", code="of-tomorrow", detail="d", remedy="r"), 403),
    "an unavailability of tomorrow": (Failed(family="unavailable", code="of-tomorrow", detail="d", remedy="r"), 503),
}


@pytest.mark.parametrize(("reply", "status"), FAILED.values(), ids=FAILED.keys())
@pytest.mark.parametrize("path", ["signatures", "checks"])
def test_a_failure_keeps_its_code(lasting_world: World, reply: Failed, status: int, path: str) -> None:
    answer = ask(lasting_world, reply, path=path)
    assert (answer.status_code, answer.json["type"]) == (status, PREFIX + reply.code)
    assert answer.headers.get("Retry-After") == ({0: "1", 3: "3"}[reply.retry_after] if status == 503 else None)


ELSEWHERE: tuple[Reply, ...] = (
    Kept(leaves=()),
    Done(leaf=1),
    StatusReport(ready=True, halted=False, tree_size=1, origin="o", problems=(), keys=()),
)


@pytest.mark.parametrize("reply", ELSEWHERE, ids=lambda reply: type(reply).__name__)
@pytest.mark.parametrize("path", ["signatures", "checks"])
def test_an_answer_to_another_question_is_no_answer(lasting_world: World, reply: Reply, path: str) -> None:
    assert ask(lasting_world, reply, path=path).status_code == 503


def test_a_check_that_was_signed_is_no_answer(lasting_world: World) -> None:
    assert ask(lasting_world, Signed(request_id=RID, receipt=b"{}"), path="checks").status_code == 503


def test_a_custodian_that_cannot_be_asked_is_503(world: World) -> None:
    class Silent:
        def ask(self, _command: object) -> Reply:
            raise Unavailable("custodian-unavailable", "gone", remedy="again", retry_after=2)

    object.__setattr__(world.application, "custodian", Silent())
    answer = world.client().post("/v1/signatures", json=world.body())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_a_fault_of_ours_is_a_bare_500_with_its_place_in_the_log(world: World) -> None:
    class Broken:
        def ask(self, _command: object) -> Reply:
            raise RuntimeError("secret-canary")

    object.__setattr__(world.application, "custodian", Broken())
    answer = world.client().post("/v1/signatures", json=world.body())
    assert answer.status_code == 500
    assert b"canary" not in answer.data
    assert b"canary" not in world.log.getvalue()
    [line] = [line for line in world.log_lines() if line["event"] == "request failed"]
    assert line["error"] == "RuntimeError"
    assert line["request_id"] == answer.json["request_id"]  # type: ignore[index]  # a document
    assert any("test_answers.py" in frame for frame in line["frames"])


def test_a_denial_by_the_real_policy_names_rule_evidence_and_remedy(world: World) -> None:
    attestations = world.attestations() | {
        "tests": attest(suite_statement([SUBJECT], failed=2), world.keys.builder),
    }
    answer = world.client().post("/v1/signatures", json=world.body(list(attestations.values())))
    assert answer.status_code == 403
    [violation] = answer.get_json()["violations"]
    assert violation["rule"] == "TST-1"
    assert violation["evidence"]
    assert violation["remedy"]


def ask(world: World, reply: Reply, *, path: str = "signatures") -> Any:
    world.san = "spiffe://dev.invalid/robot/ci"
    world.custodian.replies = [reply]
    return world.client().post(f"/v1/{path}", json=world.body([]))
