# SPDX-License-Identifier: Apache-2.0
"""/v1/deployments and POST /v1/revocations: what the custodian is told, and what a caller may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from signer.custodian.commands import Done, Failed
from signer.custodian.release_commands import GateReport, RecordDeployment, RevokeRelease
from signer.formats.canonical import sha256_hex
from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import DeploymentLeaf, GateEntry
from signer.ledger.sequencer import Entry
from tests.unit.web.test_activation import PREFIX, with_grant
from tests.unit.web.world import NOW, ORIGIN, World

DIGEST = "9c" * 32
GATE = {"verifier": "signer 0.1.0", "result": "passed", "receipt": "ab" * 32, "time": "2026-11-23T10:00:00Z"}
BODY = {"policy": "demo", "environment": "release", "reference": "registry.example:5000/shop/api:1.2"}


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world in which olga may deploy and revoke under the policy demo."""
    return with_grant(make_world(), "[deploy, revoke]", "[demo]")


def keep(world: World, **changes: Any) -> int:
    values: dict[str, Any] = {
        "time": format_time(NOW),
        "id": sha256_hex(repr(changes).encode()),
        "policy": "demo",
        "environment": "release",
        "status": "deployed",
        "reference": "registry.example:5000/shop/api:1.2",
        "digest": DIGEST,
        "at": format_time(NOW),
        "approval": "",
        "gate": GateEntry(**{"reason": "", **GATE}),
        "principal": "robot:deployer",
    }
    return world.sequencer.append([Entry(DeploymentLeaf(**(values | changes)))]).first


def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = world.client().get(f"/v1/deployments{query}")
    assert answer.status_code == 200, answer.get_data()
    found: list[dict[str, Any]] = answer.get_json()["deployments"]
    return found


@pytest.mark.parametrize(
    ("changes", "sha256"),
    [
        pytest.param({"digest": f"sha256:{DIGEST}"}, DIGEST, id="with its digest"),
        pytest.param({"reference": f"shop@sha256:{DIGEST}"}, DIGEST, id="pinned by its reference"),
        pytest.param({}, "", id="a bare tag"),
    ],
)
def test_a_deployment_reaches_the_custodian_as_it_was_told(world: World, changes: dict[str, Any], sha256: str) -> None:
    world.custodian.replies = [Done(leaf=9)]
    answer = world.client().post("/v1/deployments", json=BODY | {"gate": GATE, "approval": "CHG-17"} | changes)
    assert (answer.status_code, answer.get_json()["leaf"]) == (201, 9)
    (asked,) = world.custodian.asked
    assert asked == RecordDeployment(
        principal="person:olga",
        policy="demo",
        environment="release",
        status="deployed",
        reference=str((BODY | changes)["reference"]),
        sha256=sha256,
        at=format_time(NOW),
        approval="CHG-17",
        gate=GateReport(verifier="signer 0.1.0", result="passed", reason="", receipt="ab" * 32, time=format_time(NOW)),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": None},
        {"reference": 7},
        {"reference": "two words"},
        {"digest": DIGEST},
        {"digest": f"sha256:{'ab' * 32}", "reference": f"shop@sha256:{DIGEST}"},
        {"status": "perhaps"},
        {"at": "now"},
        {"gate": "passed"},
        {"gate": GATE | {"result": "maybe"}},
        {"gate": GATE | {"checked": True}},
        {"gate": GATE | {"result": "failed"}},
        {"decided_by": "olga"},
        {"leaf": 7},
    ],
)
def test_what_is_no_deployment_reaches_no_custodian(world: World, changes: dict[str, Any]) -> None:
    answer = world.client().post("/v1/deployments", json=BODY | changes)
    assert answer.status_code == 400, answer.get_data()
    assert world.custodian.asked == []


def test_a_list_is_of_events_that_other_systems_read(world: World) -> None:
    leaf = keep(world)
    (event,) = listed(world)
    assert event["context"] == {
        "specversion": "0.5.0",
        "id": event["context"]["id"],
        "source": f"https://{ORIGIN}",
        "type": "dev.cdevents.service.deployed.0.3.0",
        "timestamp": format_time(NOW),
    }
    assert event["subject"]["id"] == "registry.example:5000/shop/api"
    assert event["subject"]["content"]["artifactId"] == f"pkg:oci/api@sha256%3A{DIGEST}"
    assert event["subject"]["content"]["environment"]["id"] == "release"
    assert (event["customData"]["leaf"], event["customData"]["gate"]["result"]) == (leaf, "passed")


def test_a_tag_alone_is_listed_without_an_identity_and_a_refusal_as_one(world: World) -> None:
    keep(world, digest="", gate=None)
    keep(world, status="refused")
    refused, tag = listed(world)
    assert tag["subject"]["content"]["artifactId"] == "pkg:oci/api"
    assert (tag["customData"]["gate"], "digest" in tag["customData"]) == (None, False)
    assert refused["context"]["type"].startswith("dev.cdeventsx.")


def test_the_list_is_filtered_and_paged(world: World) -> None:
    first = keep(world)
    second = keep(world, environment="staging")
    third = keep(world, digest="ab" * 32)

    def leaves(query: str) -> list[int]:
        return [event["customData"]["leaf"] for event in listed(world, query)]

    assert leaves("") == [third, second, first]
    assert leaves(f"?digest={DIGEST}") == [second, first]
    assert leaves("?environment=staging&policy=demo") == [second]
    assert leaves("?since=2026-11-24T00:00:00Z") == []
    page = world.client().get("/v1/deployments?limit=2").get_json()
    assert (len(page["deployments"]), page["next"]) == (2, second)
    assert leaves(f"?before={second}") == [first]


def test_another_team_sees_no_deployment(world: World) -> None:
    keep(world, policy="theirs")
    assert listed(world) == []


def test_a_release_is_taken_back(world: World) -> None:
    world.custodian.replies = [Done(leaf=9)]
    body = {"digest": f"sha256:{DIGEST}", "policy": "demo", "environment": "*", "reason": "backdoor found"}
    answer = world.client().post("/v1/revocations", json=body)
    assert (answer.status_code, answer.get_json()) == (201, {"leaf": 9})
    assert world.custodian.asked == [
        RevokeRelease(principal="person:olga", policy="demo", environment="*", sha256=DIGEST, reason="backdoor found")
    ]


@pytest.mark.parametrize(("code", "status"), [("not-signed", 409), ("not-found", 404)])
def test_what_the_custodian_refuses_is_answered_with_its_reason(world: World, code: str, status: int) -> None:
    world.custodian.replies = [Failed(family="refused", code=code, detail="d", remedy="r")]
    body = {"digest": f"sha256:{DIGEST}", "policy": "demo", "environment": "release", "reason": "r"}
    answer = world.client().post("/v1/revocations", json=body)
    assert (answer.status_code, answer.get_json()["type"]) == (status, PREFIX + code)
