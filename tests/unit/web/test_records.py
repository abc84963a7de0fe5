# SPDX-License-Identifier: Apache-2.0
"""GET /v1/decisions/records: bounded pages for those who may audit, and nobody else."""

from __future__ import annotations

import pytest

from policy.document import parse_policy
from policy.replay import Ending, Recorded, replay
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.replay_record import DecisionRecord, PolicyRecord, parse_record
from signer.web import records
from tests.unit.web.world import World

PATH = "/v1/decisions/records?policy=demo"
AUDITOR = "spiffe://dev.invalid/robot/auditor"


@pytest.fixture
def judged(world: World) -> World:
    """Three decisions: one allowed, two denied."""
    for evidence in (None, (), ()):
        world.client().post("/v1/signatures", json=world.body(evidence))
    world.san = AUDITOR
    return world


def read(data: bytes) -> list[DecisionRecord | PolicyRecord]:
    return [parse_record(line) for line in data.splitlines()]


def test_the_records_replay_to_the_recorded_verdicts(judged: World) -> None:
    answer = judged.client().get(PATH)
    assert answer.status_code == 200
    assert answer.mimetype == "application/jsonl"
    policy, *those = read(answer.data)
    assert isinstance(policy, PolicyRecord)
    draft = parse_policy(policy.data)
    assert [each.verdict for each in those if isinstance(each, DecisionRecord)] == ["deny", "deny", "allow"]
    for each in those:
        assert isinstance(each, DecisionRecord)
        recorded = Recorded(
            leaf=each.leaf,
            request_id=each.request_id,
            time=each.time,
            principal=each.principal,
            version=each.policy.version,
            decision=decode_decision(each.findings),
            facts=decode_facts(each.facts),
            trust=draft.trust,
        )
        assert replay(draft, recorded).ending is Ending.SAME


def test_pages_follow_each_other(judged: World) -> None:
    leaves: list[int] = []
    path: str | None = f"{PATH}&limit=1"
    while path is not None:
        answer = judged.client().get(path)
        those = read(answer.data)
        leaves += [each.leaf for each in those if isinstance(each, DecisionRecord)]
        following = answer.headers.get("Next")
        path = None if following is None else f"{PATH}&limit=1&before={following}"
    assert len(leaves) == 3
    assert leaves == sorted(leaves, reverse=True)


def test_a_page_ends_when_it_is_large(judged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_BYTES", 10)
    answer = judged.client().get(PATH)
    assert len(read(answer.data)) == 2
    assert "Next" in answer.headers


@pytest.mark.parametrize("who", ["robot/ci", "robot/other", "person/olga"])
def test_no_records_without_the_audit_grant(judged: World, who: str) -> None:
    judged.san = f"spiffe://dev.invalid/{who}"
    answer = judged.client().get(PATH)
    assert answer.status_code == 404
    assert answer.get_json()["type"].endswith(":not-found")


@pytest.mark.parametrize("query", ["", "?policy=demo&limit=201", "?policy=demo&since=yesterday", "?policy=demo&x=1"])
def test_bad_queries_are_refused(judged: World, query: str) -> None:
    assert judged.client().get(f"/v1/decisions/records{query}").status_code == 400


def test_a_policy_of_which_nothing_is_recorded_has_an_empty_page(judged: World) -> None:
    answer = judged.client().get("/v1/decisions/records?policy=other")
    assert (answer.status_code, answer.data, answer.headers.get("Next")) == (200, b"", None)
