# SPDX-License-Identifier: Apache-2.0
"""What exists, who may reach it, and what every answer carries."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from signer.custodian.commands import Done, Status
from signer.formats.canonical import sha256_hex
from signer.identity.grants import ACTIONS
from signer.web.app import OPEN_TO_ALL
from signer.web.operations import create_operations_app
from signer.web.public import create_public_app
from tests.unit.web.route_table import EVERYBODY, KNOWN, TABLE
from tests.unit.web.world import SUBJECT, Keys, World, build_world, item

ROUTES = {route for route, guard in TABLE.items() if "callers" in guard.listeners}
PUBLIC = {route for route, guard in TABLE.items() if "public" in guard.listeners}
OPERATIONS = {route for route, guard in TABLE.items() if "operations" in guard.listeners}
KEPT = b"a build log"
HELD = "ab" * 16
"""Request id of a hold."""
ACTS = (
    "/v1/access",
    "/v1/approvals",
    "/v1/approvals/<string:digest>/revoke",
    "/v1/policies",
    "/v1/waivers",
    "/v1/waivers/<string:digest>/end",
)
"""What the custodian of these tests answers with the leaf that it is told to."""
GRANTED = {route: guard for route, guard in TABLE.items() if guard.who not in (EVERYBODY, KNOWN)}


def routes(app: Flask) -> set[str]:
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or ())
        if method != "HEAD"
    }


def test_the_inventory_of_routes_is_this_one(lasting_world: World) -> None:
    assert routes(lasting_world.app) == ROUTES


def test_the_public_listener_reads_only_what_is_public(lasting_world: World) -> None:
    assert routes(create_public_app(lasting_world.application)) == PUBLIC


def test_the_operations_listener_has_metrics_and_health(lasting_world: World) -> None:
    assert routes(create_operations_app(lasting_world.application)) == OPERATIONS


def test_every_resource_but_the_open_ones_asks_who_calls(lasting_world: World) -> None:
    open_rules = {
        f"{method} {rule.rule}"
        for rule in lasting_world.app.url_map.iter_rules()
        for method in (rule.methods or ())
        if rule.endpoint.partition(".")[0] in OPEN_TO_ALL and method != "HEAD"
    }
    assert open_rules == PUBLIC | {"GET /livez", "GET /readyz"}
    for route in sorted(ROUTES - open_rules):
        method, _, rule = route.partition(" ")
        path = rule.replace("<string:request>", "0" * 32).replace("<string:sha256>", "0" * 64)
        for san, status in (("", 401), ("spiffe://dev.invalid/robot/nobody", 403)):
            lasting_world.san = san
            answer = lasting_world.client().open(path.replace("<path:number>", "000"), method=method, json={})
            assert (route, answer.status_code) == (route, status)
            assert ("WWW-Authenticate" in answer.headers) is (status == 401)


def test_a_public_route_reads_and_asks_nobody(lasting_world: World) -> None:
    assert all(route.startswith("GET ") and TABLE[route].who == EVERYBODY for route in PUBLIC | OPERATIONS)


def document(data: bytes) -> dict[str, Any]:
    return {**item(data), "kind": "build-log", "media_type": "text/plain", "subjects": [f"sha256:{SUBJECT.sha256}"]}


@pytest.fixture(scope="module")
def matrix_world(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> World:
    """An access document with one robot for each action, and one that is known and may do nothing."""
    world = build_world(tmp_path_factory.mktemp("matrix"), keys=keys)
    robots = [
        f'  - {{id: {name}, sans: ["spiffe://dev.invalid/robot/{name}"]}}' for name in (*ACTIONS, "keeper", "idle")
    ]
    grants = [
        f'  - {{to: "robot:{robot}", actions: [{actions}], policies: ["*"], environments: ["*"], repositories: ["*"]}}'
        for robot, actions in (*((name, name) for name in ACTIONS), ("keeper", "sign, evidence"))
    ]
    head = "schema: signing-access/v1\nmetadata: {name: access, version: 2}\n"
    access = "\n".join([f"{head}people: []", "robots:", *robots, "grants:", *grants, ""])
    world.activate("access", "access", 2, access.encode())
    world.san = "spiffe://dev.invalid/robot/keeper"
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    kept = world.client().post("/v1/evidence", json={"policy": "demo", "evidence": [document(KEPT)]})
    assert kept.status_code == 201
    world.hold(HELD)
    return world


@pytest.mark.parametrize("route", GRANTED)
def test_a_route_takes_the_actions_of_the_table_and_no_other(matrix_world: World, route: str) -> None:
    world, guard = matrix_world, GRANTED[route]
    method, _, rule = route.partition(" ")
    request = world.application.reader.decisions(verdict="allow", limit=1)[0].request_id
    path = (guard.path or rule).format(request=request, sha256=sha256_hex(KEPT), hold=HELD)
    reached = set()
    for action in (*ACTIONS, "idle"):
        world.san = f"spiffe://dev.invalid/robot/{action}"
        world.custodian.replies = [Done(leaf=7)] if rule in ACTS and method == "POST" else []
        client = world.client()
        if guard.octets:
            answer = client.post(path, data=guard.octets, content_type="application/octet-stream")
        else:
            answer = client.post(path, json=guard.body(world)) if method == "POST" else client.get(path)
        if answer.status_code in (200, 201):
            reached.add(action)
        else:
            assert answer.get_json()["type"].rpartition(":")[2] in ("not-authorised", "not-found"), action
    world.custodian.replies = []
    assert reached == set(guard.who.split())


def test_the_public_listener_asks_no_certificate(lasting_world: World) -> None:
    lasting_world.san = ""
    client = create_public_app(lasting_world.application).test_client()
    assert client.get("/checkpoint").status_code == 200
    assert client.get("/v1/keys").status_code == 200
    assert client.get("/tile/entries/000").status_code == 404
    assert client.get("/v1/decisions").status_code == 404


WRONG_METHOD: dict[str, tuple[str, str, set[str]]] = {
    "GET of signatures": ("GET", "/v1/signatures", {"POST"}),
    "DELETE of evidence": ("DELETE", f"/v1/evidence/{SUBJECT.sha256}", {"GET", "HEAD"}),
    "POST of decisions": ("POST", "/v1/decisions", {"GET", "HEAD"}),
    "OPTIONS of signatures": ("OPTIONS", "/v1/signatures", {"POST"}),
    "PUT of policies": ("PUT", "/v1/policies", {"GET", "HEAD", "POST"}),
    "a method of one's own": ("BREW", "/v1/keys", {"GET", "HEAD"}),
}


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHOD.values(), ids=WRONG_METHOD.keys())
def test_another_method_is_405_and_names_those_that_exist(
    lasting_world: World, method: str, path: str, allowed: set[str]
) -> None:
    answer = lasting_world.client().open(path, method=method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert answer.content_type == "application/problem+json"


PATHS = [
    "/",
    "/v1",
    "/v2/signatures",
    "//v1/keys",
    "/v1//keys",
    "/v1/keys/",
    "/v1/../v1/keys",
    "/V1/keys",
    "/%2fv1/keys",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_has_one_spelling(lasting_world: World, path: str) -> None:
    answer = lasting_world.client().get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_every_answer_carries_its_request_id_and_is_not_stored(lasting_world: World) -> None:
    lasting_world.san = "spiffe://dev.invalid/robot/ci"
    for path in ("/v1/decisions", "/nothing", "/livez"):
        answer = lasting_world.client().get(path)
        assert len(answer.headers["Request-Id"]) == 32
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_access_log_tells_the_rule_and_never_the_path(world: World) -> None:
    world.client().get("/v1/evidence/" + "ab" * 32 + "?token=secret")
    world.client().get("/%0a%1b[31mforged")
    evidence, nothing = world.log_lines()
    assert evidence["route"] == "/v1/evidence/<string:sha256>"
    assert evidence["principal"] == "robot:ci"
    assert (evidence["status"], evidence["code"]) == (404, "not-found")
    assert nothing["route"] == "none"
    assert b"secret" not in world.log.getvalue()
    assert b"forged" not in world.log.getvalue()


def test_metric_labels_are_fixed_whatever_callers_send(world: World) -> None:
    metrics = world.application.metrics

    def series() -> int:
        every = (metrics.requests, metrics.request_seconds, metrics.problems, metrics.stage_seconds)
        return sum(len(list(family.samples)) for metric in every for family in metric.collect())

    def send(number: int) -> None:
        world.client().open(f"/x{number}", method=f"M{number}")
        world.client().get(f"/v1/evidence/{number:064x}")
        world.client().post("/v1/checks", json=world.body([], policy=f"p{number}"))

    send(0)
    before = series()
    for number in range(1, 20):
        send(number)
    assert series() == before


def test_a_stranger_learns_nothing_of_readiness_but_yes_or_no(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/nobody"
    stranger: Any = world.client().get("/readyz").get_json()
    world.san = "spiffe://dev.invalid/robot/ci"
    known: Any = world.client().get("/readyz").get_json()
    assert "problems" not in stranger
    assert "server certificate" in known["problems"][0]
    assert [type(command) for command in world.custodian.asked] == [Status, Status]
