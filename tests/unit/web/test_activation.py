# SPDX-License-Identifier: Apache-2.0
"""POST /v1/policies and /v1/access: who may bring a document, and what the custodian is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from signer.custodian.commands import Activate, Done, Failed
from signer.formats.canonical import sha256_hex
from signer.formats.strict_base64 import encode_base64
from signer.web.shadow import gauges
from tests.unit.web.world import ACCESS, Keys, World, build_world, render_policy

PREFIX = "urn:signing-authority:problem:"
OLGA = "spiffe://dev.invalid/person/olga"
AUDITOR = "spiffe://dev.invalid/robot/auditor"


@pytest.fixture
def allowed(make_world: Callable[..., World]) -> World:
    """A world in which olga may bring any document."""
    return with_grant(make_world(), "[halt, policy]", '["*"]')


def with_grant(world: World, actions: str, policies: str) -> World:
    wide = '{to: "person:olga", actions: [halt], policies: ["*"]'
    assert wide in ACCESS
    text = ACCESS.replace(wide, f'{{to: "person:olga", actions: {actions}, policies: {policies}')
    world.activate("access", "access", 2, text.replace("version: 1", "version: 2").encode())
    world.san = OLGA
    return world


def body(document: bytes) -> dict[str, Any]:
    return {"document": encode_base64(document), "signatures": [encode_base64(b"one"), encode_base64(b"two")]}


def test_a_policy_is_brought_byte_for_byte(allowed: World, keys: Keys) -> None:
    allowed.custodian.replies = [Done(leaf=9)]
    document = render_policy(keys).replace(b"version: 1", b"version: 2")
    answer = allowed.client().post("/v1/policies", json=body(document))
    assert answer.status_code == 201
    assert answer.get_json() == {"leaf": 9, "name": "demo", "version": 2, "digest": sha256_hex(document)}
    assert allowed.custodian.asked == [
        Activate(principal="person:olga", document="policy", data=document, signatures=(b"one", b"two"))
    ]


def test_an_access_document_is_brought_byte_for_byte(allowed: World) -> None:
    allowed.custodian.replies = [Done(leaf=9)]
    document = ACCESS.replace("version: 1", "version: 3").encode()
    answer = allowed.client().post("/v1/access", json=body(document))
    assert (answer.status_code, answer.get_json()["version"]) == (201, 3)
    assert allowed.custodian.asked == [
        Activate(principal="person:olga", document="access", data=document, signatures=(b"one", b"two"))
    ]


@pytest.mark.parametrize(
    ("code", "status"), [("owner-threshold", 403), ("version-not-newer", 409), ("access-renamed", 409)]
)
def test_what_the_custodian_refuses_is_answered_with_its_reason(
    allowed: World, keys: Keys, code: str, status: int
) -> None:
    allowed.custodian.replies = [Failed(family="refused", code=code, detail="d", remedy="r")]
    answer = allowed.client().post("/v1/policies", json=body(render_policy(keys)))
    assert (answer.status_code, answer.get_json()["type"]) == (status, PREFIX + code)


BROKEN: dict[str, tuple[str, Any, int, str]] = {
    "a policy that is none": ("/v1/policies", body(b"schema: other"), 422, "policy-invalid"),
    "an access document that is none": ("/v1/access", body(b"schema: other"), 422, "access-invalid"),
    "an access document as policy": ("/v1/policies", body(ACCESS.encode()), 422, "policy-invalid"),
    "bytes that are no text": ("/v1/policies", body(b"\xff\xfe"), 422, "policy-invalid"),
    "no signature": ("/v1/policies", {"document": "c2Nq", "signatures": []}, 400, "malformed-request"),
    "no base64": ("/v1/policies", {"document": "schema: x", "signatures": ["eA=="]}, 400, "invalid-encoding"),
    "no document": ("/v1/access", {"signatures": ["eA=="]}, 400, "malformed-request"),
    "a member too many": ("/v1/access", {**body(b"x"), "force": True}, 400, "malformed-request"),
}


@pytest.mark.parametrize(("path", "value", "status", "code"), BROKEN.values(), ids=BROKEN)
def test_the_custodian_is_not_asked_about(allowed: World, path: str, value: Any, status: int, code: str) -> None:
    answer = allowed.client().post(path, json=value)
    assert (answer.status_code, answer.get_json()["type"]) == (status, PREFIX + code)
    assert allowed.custodian.asked == []


@pytest.mark.parametrize(
    ("actions", "policies", "path"),
    [
        pytest.param("[halt]", '["*"]', "/v1/policies", id="another grant, a policy"),
        pytest.param("[halt]", '["*"]', "/v1/access", id="another grant, an access document"),
        pytest.param("[policy]", "[other]", "/v1/policies", id="a grant for another policy"),
        pytest.param("[policy]", "[demo]", "/v1/access", id="a grant for one policy, an access document"),
        pytest.param("[audit]", '["*"]', "/v1/policies", id="a grant to read everything"),
    ],
)
def test_no_document_without_the_grant(world: World, keys: Keys, actions: str, policies: str, path: str) -> None:
    with_grant(world, actions, policies)
    document = render_policy(keys) if path == "/v1/policies" else ACCESS.encode()
    answer = world.client().post(path, json=body(document))
    assert (answer.status_code, answer.get_json()["type"]) == (403, PREFIX + "not-authorised")
    assert world.custodian.asked == []


def test_a_policy_in_force_judges_the_next_request(tmp_path: Any, keys: Keys) -> None:
    world = build_world(tmp_path, keys=keys)
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    tighter = (
        render_policy(keys).replace(b"version: 1", b"version: 2").replace(b"minComponents: 1", b"minComponents: 99")
    )
    world.activate("policy", "demo", 2, tighter)
    denied = world.client().post("/v1/signatures", json=world.body())
    assert denied.status_code == 403
    assert denied.get_json()["decision"]["policy"] == {"name": "demo", "version": 2, "digest": sha256_hex(tighter)}


# Shadow


def test_a_policy_is_brought_into_shadow_with_what_was_acknowledged(allowed: World, keys: Keys) -> None:
    allowed.custodian.replies = [Done(leaf=9), Done(leaf=10)]
    document = render_policy(keys).replace(b"version: 1", b"version: 2")
    assert allowed.client().post("/v1/policies", json={**body(document), "shadow": True}).status_code == 201
    request = {**body(document), "acknowledge": ["VUL-1"]}
    assert allowed.client().post("/v1/policies", json=request).status_code == 201
    assert [
        (command.document, command.acknowledged) for command in allowed.custodian.asked if isinstance(command, Activate)
    ] == [("shadow", ()), ("policy", ("VUL-1",))]


@pytest.mark.parametrize(
    "member",
    [
        pytest.param({"shadow": "true"}, id="a word for a flag"),
        pytest.param({"shadow": 1}, id="a number for a flag"),
        pytest.param({"acknowledge": "VUL-1"}, id="one name and no list"),
        pytest.param({"acknowledge": ["VUL 1"]}, id="a name that is none"),
        pytest.param({"acknowledge": ["VUL-1"] * 33}, id="too many names"),
    ],
)
def test_members_of_shadow_are_read_strictly(allowed: World, keys: Keys, member: dict[str, Any]) -> None:
    answer = allowed.client().post("/v1/policies", json={**body(render_policy(keys)), **member})
    assert (answer.status_code, answer.get_json()["type"]) == (400, PREFIX + "malformed-request")
    assert allowed.custodian.asked == []


def test_what_is_in_shadow_is_told_with_what_it_waits_for(world: World, keys: Keys) -> None:
    # A rule of the version in force is in shadow, and a newer version beside it.
    rule = render_policy(keys).replace(b"minComponents: 1}", b"minComponents: 99, mode: shadow}")
    world.activate("policy", "demo", 2, rule.replace(b"version: 1", b"version: 2"))
    world.activate("shadow", "demo", 3, render_policy(keys).replace(b"version: 1", b"version: 3"))
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    world.san = AUDITOR
    answer = world.client().get("/v1/policies/demo/shadow").get_json()
    assert answer["policy"]["version"] == 2
    (told,) = answer["rules"]
    assert (told["rule"], told["decisions"], told["flips"]) == ("SBM-1", 1, {"SBM-1": 1})
    assert "demands 20 decisions and 7d" in told["waits"]
    assert (answer["document"]["version"], answer["document"]["decisions"]) == (3, 0)
    listed = world.client().get("/v1/policies").get_json()
    assert [(each["name"], each["version"]) for each in listed["shadows"]] == [("demo", 3)]


def test_a_decision_tells_what_was_in_shadow(world: World, keys: Keys) -> None:
    rule = render_policy(keys).replace(b"minComponents: 1}", b"minComponents: 99, mode: shadow}")
    world.activate("policy", "demo", 2, rule.replace(b"version: 1", b"version: 2"))
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    (row,) = world.client().get("/v1/decisions").get_json()["decisions"]
    assert [(each["rule"], each["outcome"], each["flip"]) for each in row["shadow"]] == [("SBM-1", "fail", "deny")]
    shown = world.client().get(f"/v1/decisions/{row['request_id']}").get_json()
    assert shown["shadow"] == row["shadow"]
    finding = next(each for each in shown["findings"] if each["rule"] == "SBM-1")
    assert (finding["outcome"], finding["would"]) == ("shadow", "fail")


@pytest.mark.parametrize("name", ["other", "..%2f", "x" * 200])
def test_nothing_is_told_of_a_policy_out_of_reach(world: World, name: str) -> None:
    assert world.client().get(f"/v1/policies/{name}/shadow").status_code == 404


def test_the_gauges_count_what_is_in_shadow(world: World, keys: Keys) -> None:
    rule = render_policy(keys).replace(b"minComponents: 1}", b"minComponents: 99, mode: shadow}")
    world.activate("policy", "demo", 2, rule.replace(b"version: 1", b"version: 2"))
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    assert {name: value for name, _, value in gauges(world.application)} == {
        "signer_shadow_decisions": 1,
        "signer_shadow_would_deny": 1,
        "signer_shadow_would_allow": 0,
    }
