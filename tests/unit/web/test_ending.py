# SPDX-License-Identifier: Apache-2.0
"""What ends within 30 days is told: beside each judged answer, in the list, by readiness, and as a metric."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from policy.wording import moment
from signer.web.ending import HEADER, certificates
from signer.web.readiness import look
from tests.unit.web.test_waivers import keep
from tests.unit.web.world import NOW, World, render_policy, write_certificate
from tests.waivers import waiver

SECOND = timedelta(seconds=1)
NOTHING_AND_ALL: tuple[list[bytes] | None, ...] = ([], None)
ENDS: dict[str, tuple[timedelta, str]] = {
    "in more than 30 days": (timedelta(days=30) + SECOND, ""),
    "in 30 days": (timedelta(days=30), "policy demo v2 expires at {}"),
    "in a moment": (SECOND, "policy demo v2 expires at {}"),
    "now": (timedelta(), "policy demo v2 expired at {}"),
}


def ending(world: World, end: datetime, *, version: int = 2) -> None:
    text = render_policy(world.keys).replace(b"version: 1,", f"version: {version},".encode(), 1)
    changed = text.replace(b'owner: "security"', b'owner: "security", expires: ' + moment(end).encode(), 1)
    assert changed != text
    world.activate("policy", "demo", version, changed)


@pytest.mark.parametrize("path", ["/v1/checks", "/v1/signatures"])
@pytest.mark.parametrize(("left", "says"), ENDS.values(), ids=ENDS)
def test_a_judged_answer_tells_of_its_policy(world: World, path: str, left: timedelta, says: str) -> None:
    ending(world, NOW + left)
    for evidence in NOTHING_AND_ALL:
        answer = world.client().post(path, json=world.body(evidence))
        assert answer.status_code in (200, 403, 409, 503)
        assert answer.headers.get(HEADER, "") == says.format(moment(NOW + left))


def test_a_policy_without_an_end_warns_of_nothing(world: World) -> None:
    assert HEADER not in world.client().post("/v1/checks", json=world.body([])).headers


def test_the_list_says_when_a_policy_ends(world: World) -> None:
    ending(world, NOW + timedelta(days=9))
    world.san = "spiffe://dev.invalid/robot/auditor"
    [listed] = world.client().get("/v1/policies").get_json()["policies"]
    assert listed["expires"] == "2026-12-02T10:00:00.000000Z"


def told(world: World) -> Any:
    return world.client().get("/readyz").get_json()["warnings"]


def test_readiness_warns_and_stays_ready(world: World) -> None:
    write_certificate(world, ends=timedelta(days=31))
    ending(world, NOW + timedelta(days=31))
    assert told(world) == []
    ending(world, NOW + timedelta(days=29), version=3)
    digest = keep(world, waiver(now=NOW))
    write_certificate(world, ends=timedelta(days=29))
    assert look(world.application).ready
    policy, excused, certificate = told(world)
    assert policy == f"policy demo v3 expires at {moment(NOW + timedelta(days=29))}"
    assert excused.startswith(f"waiver sha256:{digest[:12]} of policy demo expires at ")
    assert certificate.startswith("the server certificate expires at ")
    world.san = "spiffe://dev.invalid/robot/stranger"
    assert "warnings" not in world.client().get("/readyz").get_json()


def test_the_first_ends_are_metrics(world: World) -> None:
    write_certificate(world, ends=timedelta(days=1))
    names = {name for name, _, _ in look(world.application).gauges()}
    assert not names & {"signer_policy_expiry_timestamp_seconds", "signer_waiver_expiry_timestamp_seconds"}
    ending(world, NOW + timedelta(days=90))
    keep(world, waiver(now=NOW))
    gauges = {name: value for name, _, value in look(world.application).gauges()}
    assert gauges["signer_policy_expiry_timestamp_seconds"] == (NOW + timedelta(days=90)).timestamp()
    assert gauges["signer_waiver_expiry_timestamp_seconds"] > NOW.timestamp()


def test_a_revocation_list_that_lives_a_day_is_no_news_and_an_end_that_is_over_is_a_problem() -> None:
    ends = {"crl": NOW + SECOND, "certificate": NOW, "client_ca": NOW + SECOND}
    assert [*certificates(ends, now=NOW)] == [f"an authority of client certificates expires at {moment(NOW + SECOND)}"]
