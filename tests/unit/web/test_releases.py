# SPDX-License-Identifier: Apache-2.0
"""GET /v1/releases/{digest} and GET /v1/findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.web.test_deployments import keep
from tests.unit.web.world import SUBJECT, World

RELEASE = f"/v1/releases/{SUBJECT.sha256}"
AUDITOR = "spiffe://dev.invalid/robot/auditor"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with one decision about the subject, read by the auditor."""
    world = make_world()
    assert world.client().post("/v1/signatures", json=world.body([]), headers={"Idempotency-Key": "one"}).status_code
    world.san = AUDITOR
    return world


def findings(world: World, query: str = "") -> list[tuple[str, str]]:
    answer = world.client().get(f"/v1/findings{query}")
    assert answer.status_code == 200, answer.get_data()
    page: dict[str, Any] = answer.get_json()
    assert [each["id"] for each in page["unknown"]] == ["F7"]
    assert all(each["remedy"] and each["leaves"] for each in page["findings"])
    return [(each["id"], each["digest"]) for each in page["findings"]]


def test_a_release_is_shown_with_all_that_is_known_of_it(world: World) -> None:
    keep(world, policy="demo", environment="release")
    view = world.client().get(RELEASE).get_json()
    assert view["digest"] == f"sha256:{SUBJECT.sha256}"
    assert view["names"] == [SUBJECT.name]
    assert [each["what"] for each in view["timeline"]] == ["decision", "deployment"]
    assert {each["id"] for each in view["findings"]} >= {"F5", "F7"}
    (environment,) = view["environments"]
    assert len(environment["questions"]) == 6


def test_who_may_not_read_all_of_it_sees_nothing(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/ci"
    assert world.client().get(RELEASE).status_code == 200
    keep(world, policy="theirs")
    for who in ("robot/ci", "robot/other", "person/olga"):
        world.san = f"spiffe://dev.invalid/{who}"
        assert world.client().get(RELEASE).status_code == 404
        assert world.client().get(f"/v1/releases/{'ab' * 32}").status_code == 404
        assert findings(world) == []


def test_findings_are_of_the_whole_ledger_and_filtered(world: World) -> None:
    assert findings(world) == []
    keep(world, gate=None)
    keep(world, digest="", gate=None)
    digest = f"sha256:{SUBJECT.sha256}"
    assert set(findings(world)) == {("F1", ""), ("F5", digest), ("F6", digest)}
    assert findings(world, "?environment=production") == []
    assert findings(world, "?policy=other") == []
    assert findings(world, "?since=2027-01-01T00:00:00Z") == []


def test_findings_come_in_pages(world: World) -> None:
    first = keep(world, gate=None)
    keep(world, digest="", gate=None)
    page = world.client().get("/v1/findings?limit=1").get_json()
    assert ([each["id"] for each in page["findings"]], page["next"]) == (["F1"], first + 1)
    rest = world.client().get(f"/v1/findings?before={page['next']}").get_json()
    assert {each["id"] for each in rest["findings"]} == {"F5", "F6"}
    assert rest["next"] is None
