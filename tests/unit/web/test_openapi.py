# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document tells the truth: every answer fits it, and no input that it suggests makes a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.unit.web.test_routes import ROUTES, routes
from tests.unit.web.world import Keys, World, build_world, write_certificate

PREFIX = "urn:signing-authority:problem:"


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> World:
    world = build_world(tmp_path_factory.mktemp("fuzzed"), keys=keys)
    write_certificate(world, ends=timedelta(days=1))
    return world


@pytest.fixture(scope="module")
def api(fuzzed: World) -> Any:
    fuzzed.san = "spiffe://dev.invalid/robot/ci"
    return schemathesis.openapi.from_wsgi("/openapi.json", fuzzed.app)


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        yield from ((path, method, methods[method]) for method in ("get", "post") if method in methods)


def test_the_document_names_every_route(lasting_world: World) -> None:
    document = lasting_world.client().get("/openapi.json").get_json()
    assert document["openapi"] == "3.1.0"
    documented = {f"{method.upper()} {path}" for path, method, _ in operations(document)}
    spelt = {route.replace("<string:", "{").replace("<path:", "{").replace(">", "}") for route in ROUTES}
    assert documented == spelt - {"GET /openapi.json"}
    assert routes(lasting_world.app) == ROUTES


def test_every_operation_says_what_it_does_and_that_errors_are_problems(lasting_world: World) -> None:
    document = lasting_world.client().get("/openapi.json").get_json()
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/DEFAULT_ERROR"}
    assert list(document["components"]["responses"]["DEFAULT_ERROR"]["content"]) == ["application/problem+json"]


def test_request_shapes_are_closed(lasting_world: World) -> None:
    schemas = lasting_world.client().get("/openapi.json").get_json()["components"]["schemas"]
    for name in ("JudgementRequest", "EvidenceRequest", "HaltRequest", "ResumeRequest"):
        assert schemas[name]["additionalProperties"] is False


CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    status_code_conformance,
    unsupported_method,
]
MODES = schemathesis.GenerationMode


def takes_input(operation: Any) -> bool:
    # Any bytes are a document: there is no wrong upload.
    return (bool(operation.body) and operation.path != "/v1/uploads") or bool(operation.query)


@pytest.mark.parametrize("mode", [MODES.POSITIVE, MODES.NEGATIVE], ids=["as documented", "against the document"])
def test_no_operation_answers_what_its_document_does_not_say(api: Any, mode: schemathesis.GenerationMode) -> None:
    checked = 0
    for found in api.get_all_operations():
        operation = found.ok()
        if mode is MODES.NEGATIVE and not takes_input(operation):
            continue  # nothing in it could be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=12, suppress_health_check=list(HealthCheck))
        def run(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS)

        run()
        checked += 1
    assert checked == (40 if mode is MODES.POSITIVE else 20)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
algorithms = st.sampled_from(["sha256", "sha512", "md5"])
values = st.sampled_from(["9c" * 32, "", "ab" * 64])
near = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["demo", "nothing", "", 1]) | anything,
        "environment": st.just("release") | anything,
        "subjects": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.text(max_size=8) | st.just("shop.tar"),
                    "digest": st.dictionaries(
                        st.sampled_from(["sha256", "sha512", "md5"]),
                        st.sampled_from(["9c" * 32, "", "ab" * 64]),
                        max_size=2,
                    )
                    | anything,
                }
            )
            | anything,
            max_size=3,
        )
        | anything,
        "evidence": st.lists(
            st.fixed_dictionaries({"content": st.text(max_size=40) | st.sampled_from(["e30=", "W10=", "bnVsbA=="])})
            | anything,
            max_size=3,
        )
        | anything,
    }
)


@given(body=st.binary(max_size=300) | anything.map(dump := lambda value: json.dumps(value).encode()) | near.map(dump))
@settings(max_examples=80)
@pytest.mark.parametrize("path", ["/v1/signatures", "/v1/checks", "/v1/evidence", "/v1/halt", "/v1/resume"])
def test_no_body_makes_a_server_error(fuzzed: World, path: str, body: bytes) -> None:
    robots = {"/v1/halt": "spiffe://dev.invalid/person/olga", "/v1/resume": "spiffe://dev.invalid/person/olga"}
    fuzzed.san = robots.get(path, "spiffe://dev.invalid/robot/ci")
    answer = fuzzed.client().post(path, data=body, content_type="application/json")
    assert answer.status_code < 500, answer.data
    if answer.status_code >= 400:
        assert json.loads(answer.data)["type"].startswith(PREFIX)


envelopes = st.fixed_dictionaries(
    {
        "payload": st.text(max_size=30) | anything,
        "payloadType": st.just("application/vnd.in-toto+json") | anything,
        "signatures": st.lists(st.fixed_dictionaries({"sig": st.text(max_size=20)}) | anything, max_size=3) | anything,
    }
)


@given(content=envelopes | anything)
@settings(max_examples=100)
def test_no_evidence_makes_a_server_error(fuzzed: World, content: Any) -> None:
    fuzzed.san = "spiffe://dev.invalid/robot/ci"
    body = fuzzed.body([json.dumps(content).encode()])
    assert fuzzed.client().post("/v1/checks", json=body).status_code in {400, 409, 413, 422}


@given(query=st.text(max_size=60), path=st.text(max_size=60))
@settings(max_examples=100)
def test_no_path_or_query_makes_a_server_error(fuzzed: World, query: str, path: str) -> None:
    fuzzed.san = "spiffe://dev.invalid/robot/auditor"
    client = fuzzed.client()
    for target in ("/v1/decisions/", "/v1/evidence/", "/v1/keys/", "/tile/0/", "/tile/entries/", "/"):
        assert client.get(target + path.lstrip("/")).status_code < 500
    assert client.get("/v1/decisions", query_string=query).status_code < 500
