# SPDX-License-Identifier: Apache-2.0
"""Bad input: a clear 4xx with type and remedy, and nothing asked of the custodian."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from signer.custodian.commands import Status
from tests.unit.web.world import OTHER, SUBJECT, World, item


@pytest.fixture
def world(lasting_world: World) -> World:
    """Shared: none of these tests changes the ledger."""
    lasting_world.custodian.asked.clear()
    lasting_world.san = "spiffe://dev.invalid/robot/ci"
    return lasting_world


PREFIX = "urn:signing-authority:problem:"
HEX = "9c" * 32


def changed(world: World, path: list[str | int], value: Any) -> bytes:
    body = world.body([])
    target: Any = body
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return json.dumps(body).encode()


def dropped(world: World, name: str) -> bytes:
    body = world.body([])
    del body[name]
    return json.dumps(body).encode()


def subject(**digest: str) -> list[dict[str, Any]]:
    return [{"name": "shop.tar", "digest": digest}]


def offered(content: str) -> list[dict[str, str]]:
    return [{"content": content}]


# sentence: (path in a good body, value there) → code
VALUES: dict[str, tuple[list[str | int], Any, int, str]] = {
    "an unknown member": (["tenant_id"], "acme", 400, "malformed-request"),
    "a decision by the caller": (["verdict"], "allow", 400, "malformed-request"),
    "a policy that is a number": (["policy"], 12, 400, "malformed-request"),
    "a policy that is null": (["policy"], None, 400, "malformed-request"),
    "a policy with a path in it": (["policy"], "../demo", 400, "malformed-request"),
    "a policy with a line break": (["policy"], "demo\n", 400, "malformed-request"),
    "an empty environment": (["environment"], "", 400, "malformed-request"),
    "subjects that are an object": (["subjects"], {}, 400, "malformed-request"),
    "no subject": (["subjects"], [], 400, "malformed-request"),
    "too many subjects": (["subjects"], [{}] * 1001, 400, "malformed-request"),
    "a subject that is text": (["subjects"], ["x"], 400, "malformed-request"),
    "a subject with a further member": (["subjects", 0, "uri"], "x", 400, "malformed-request"),
    "a subject without name": (["subjects", 0], {"digest": {"sha256": HEX}}, 400, "malformed-request"),
    "a name with a space": (["subjects", 0, "name"], "a b", 400, "invalid-subject"),
    "a name of bidi characters": (["subjects", 0, "name"], "a\u202eb", 400, "invalid-subject"),
    "a name that is too long": (["subjects", 0, "name"], "a" * 513, 400, "invalid-subject"),
    "two subjects of one name": (["subjects"], subject(sha256=HEX) + subject(sha256="ab" * 32), 400, "invalid-subject"),
    "an upper-case digest": (["subjects"], subject(sha256=HEX.upper()), 400, "invalid-digest"),
    "a digest of 63 digits": (["subjects"], subject(sha256=HEX[1:]), 400, "invalid-digest"),
    "a digest of 65 digits": (["subjects"], subject(sha256=HEX + "0"), 400, "invalid-digest"),
    "a digest with a line break": (["subjects"], subject(sha256=HEX[1:] + "\n"), 400, "invalid-digest"),
    "a digest with its algorithm": (["subjects"], subject(sha256="sha256:" + HEX), 400, "invalid-digest"),
    "a digest that is a number": (["subjects", 0, "digest", "sha256"], 7, 400, "invalid-digest"),
    "a sha512 under sha256": (["subjects"], subject(sha256=HEX * 2), 400, "invalid-digest"),
    "sha1 beside sha256": (["subjects"], subject(sha256=HEX, sha1="0" * 40), 400, "invalid-digest"),
    "md5 alone": (["subjects"], subject(md5="0" * 32), 400, "invalid-digest"),
    "sha512 alone": (["subjects"], subject(sha512=HEX * 2), 400, "invalid-digest"),
    "evidence that is text": (["evidence"], "x", 400, "malformed-request"),
    "too much evidence": (["evidence"], offered("e30=") * 65, 400, "malformed-request"),
    "evidence without content": (["evidence"], [{}], 400, "malformed-request"),
    "evidence with a url": (["evidence"], [{"content": "e30=", "url": "file:///"}], 400, "malformed-request"),
    "content that is a number": (["evidence"], [{"content": 7}], 400, "malformed-request"),
    "content with junk": (["evidence"], offered("e30=!"), 400, "invalid-encoding"),
    "content without padding": (["evidence"], offered("e30"), 400, "invalid-encoding"),
    "content with too much padding": (["evidence"], offered("e30=="), 400, "invalid-encoding"),
    "content with trailing bits": (["evidence"], offered("e31="), 400, "invalid-encoding"),
    "content in two alphabets": (["evidence"], offered("-_+/"), 400, "invalid-encoding"),
    "content that is no JSON": (["evidence"], offered("eA=="), 400, "malformed-json"),
    "content that is no envelope": (["evidence"], offered("e30="), 422, "evidence-invalid"),
    "content beyond 1 MiB": (["evidence"], offered("A" * (1400 * 1024)), 413, "too-large"),
    "a document of an unknown kind": (
        ["evidence"],
        [{"content": "eA==", "kind": "poem", "media_type": "text/plain", "subjects": [f"sha256:{HEX}"]}],
        422,
        "evidence-invalid",
    ),
    "a document with a bad media type": (
        ["evidence"],
        [{"content": "eA==", "kind": "build-log", "media_type": "text/html\r\nX: 1", "subjects": [f"sha256:{HEX}"]}],
        422,
        "evidence-invalid",
    ),
    "a document without subjects": (
        ["evidence"],
        [{"content": "eA==", "kind": "build-log", "media_type": "text/plain", "subjects": []}],
        422,
        "evidence-invalid",
    ),
    "a document about another digest": (
        ["evidence"],
        [{"content": "eA==", "kind": "build-log", "media_type": "text/plain", "subjects": [f"sha256:{OTHER.sha256}"]}],
        422,
        "subject-mismatch",
    ),
}


@pytest.mark.parametrize("resource", ["signatures", "checks"])
@pytest.mark.parametrize("case", VALUES.values(), ids=VALUES.keys())
def test_a_wrong_value_is_refused(world: World, case: tuple[list[str | int], Any, int, str], resource: str) -> None:
    path, value, status, code = case
    refused(world, changed(world, path, value), status, code, path=f"/v1/{resource}")


@pytest.mark.parametrize("name", ["policy", "environment", "subjects"])
def test_a_missing_member_is_refused(world: World, name: str) -> None:
    refused(world, dropped(world, name), 400, "malformed-request")


RAW: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "malformed-json"),
    "text": (b"sign this", 400, "malformed-json"),
    "an array": (b"[]", 400, "malformed-json"),
    "a duplicate key": (b'{"policy":"a","policy":"b"}', 400, "duplicate-key"),
    "a duplicate key in an escaped spelling": (b'{"policy":"a","pol\\u0069cy":"b"}', 400, "duplicate-key"),
    "NaN": (b'{"policy":NaN}', 400, "malformed-json"),
    "a number beyond all floats": (b'{"policy":1e999}', 400, "malformed-json"),
    "an integer of 5000 digits": (b'{"policy":' + b"9" * 5000 + b"}", 400, "malformed-json"),
    "an integer beyond 2^53": (b'{"policy":9007199254740993}', 400, "malformed-json"),
    "50k levels": (b"[" * 50_000 + b"]" * 50_000, 400, "malformed-json"),
    "200k levels": (b"[" * 200_000 + b"]" * 200_000, 413, "too-large"),
    "200k values": (b"[" + b"0," * 200_000 + b"0]", 413, "too-large"),
    "70 levels": (b'{"policy":' * 70 + b"1" + b"}" * 70, 400, "malformed-json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400, "malformed-json"),
    "UTF-16": ('{"policy":"demo"}'.encode("utf-16"), 400, "malformed-json"),
    "a lone surrogate": (b'{"policy":"\\ud800"}', 400, "malformed-json"),
    "an overlong encoding": (b'{"policy":"\xc0\xaf"}', 400, "malformed-json"),
    "a control character": (b'{"policy":"\x00"}', 400, "malformed-json"),
    "trailing text": (b"{} {}", 400, "malformed-json"),
    "more than the cap": (b" " * (4 * 1024 * 1024 + 1), 413, "too-large"),
}


@pytest.mark.parametrize(("body", "status", "code"), RAW.values(), ids=RAW.keys())
def test_a_body_that_is_no_strict_json_is_refused(world: World, body: bytes, status: int, code: str) -> None:
    refused(world, body, status, code)


HEADERS: dict[str, tuple[dict[str, str], int, str]] = {
    "no content type": ({"Content-Type": ""}, 415, "unsupported-media-type"),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
    "text": ({"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    "JSON in UTF-16": ({"Content-Type": "application/json; charset=utf-16"}, 415, "unsupported-media-type"),
    "a gzip body": ({"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
    "an identity coding": ({"Content-Encoding": "identity"}, 415, "unsupported-media-type"),
    "an empty key": ({"Idempotency-Key": ""}, 400, "invalid-idempotency-key"),
    "a key with a space": ({"Idempotency-Key": "a b"}, 400, "invalid-idempotency-key"),
    "a key beyond ASCII": ({"Idempotency-Key": "é"}, 400, "invalid-idempotency-key"),
    "a key of 129 characters": ({"Idempotency-Key": "a" * 129}, 400, "invalid-idempotency-key"),
    "an Envoy certificate": ({"X-Forwarded-Client-Cert": "Hash=1"}, 400, "untrusted-header"),
    "the same in lower case": ({"x-forwarded-client-cert": "Hash=1"}, 400, "untrusted-header"),
    "the same with underscores": ({"X_Forwarded_Client_Cert": "Hash=1"}, 400, "untrusted-header"),
    "an nginx subject": ({"X-SSL-Client-S-DN": "CN=ci"}, 400, "untrusted-header"),
    "an nginx verdict": ({"X-Client-Verify": "SUCCESS"}, 400, "untrusted-header"),
    "an nginx certificate": ({"X-Client-Cert": "-----BEGIN"}, 400, "untrusted-header"),
    "the header of RFC 9440": ({"Client-Cert": ":AA==:"}, 400, "untrusted-header"),
    "an Azure certificate": ({"X-ARR-ClientCert": "AA=="}, 400, "untrusted-header"),
    "an AWS certificate": ({"X-Amzn-Mtls-Clientcert": "AA=="}, 400, "untrusted-header"),
    "an Apache variable": ({"SSL-Client-Verify": "SUCCESS"}, 400, "untrusted-header"),
    "a user": ({"X-Remote-User": "root"}, 400, "untrusted-header"),
    "a forwarded user": ({"X-Forwarded-User": "root"}, 400, "untrusted-header"),
    "an address": ({"X-Forwarded-For": "127.0.0.1"}, 400, "untrusted-header"),
    "another path": ({"X-Original-URL": "/v1/keys"}, 400, "untrusted-header"),
    "another method": ({"X-HTTP-Method-Override": "GET"}, 400, "untrusted-header"),
    "a script name": ({"Script-Name": "/v1"}, 400, "untrusted-header"),
}


@pytest.mark.parametrize(("headers", "status", "code"), HEADERS.values(), ids=HEADERS.keys())
def test_a_header_is_refused(world: World, headers: dict[str, str], status: int, code: str) -> None:
    refused(world, json.dumps(world.body([])).encode(), status, code, headers=headers)


QUERIES: dict[str, str] = {
    "an unknown filter": "tenant=acme",
    "a filter twice": "limit=1&limit=2",
    "a limit of zero": "limit=0",
    "a limit beyond the page": "limit=201",
    "a limit in another spelling": "limit=+5",
    "a negative cursor": "before=-1",
    "a digest with its algorithm": f"digest=sha256:{HEX}",
    "a commit that is a branch": "commit=main",
    "an unknown verdict": "verdict=maybe",
    "a local time": "since=2026-11-23T10:00:00",
    "a date": "since=2026-11-23",
    "a principal of no kind": "principal=root",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_filter_is_refused(world: World, query: str) -> None:
    answer = world.client().get(f"/v1/decisions?{query}")
    assert (answer.status_code, answer.get_json()["type"]) == (400, PREFIX + "malformed-request")


def test_an_attestation_about_another_artifact_is_not_judged(world: World) -> None:
    body = json.dumps(world.body([world.attestations(OTHER)["scan"]])).encode()
    refused(world, body, 422, "subject-mismatch")


def test_the_first_faults_are_named_and_the_rest_counted(world: World) -> None:
    body = world.body([]) | {f"x{number}": 1 for number in range(1000)}
    answer = world.client().post("/v1/checks", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["detail"].endswith("and 995 more")
    assert len(answer.data) < 2000


def test_a_member_of_the_caller_is_told_in_plain_ascii(world: World) -> None:
    answer = world.client().post("/v1/checks", json=world.body([]) | {"\x1b[31m\u202e<script>": 1})
    assert "\\x1b[31m\\u202e<script>: Unknown field." in answer.get_json()["detail"]


def test_the_same_bytes_twice_are_one_piece_of_evidence(world: World) -> None:
    attestations = world.attestations()
    once = world.client().post("/v1/checks", json=world.body([attestations["scan"]] * 3))
    [command] = world.custodian.asked
    assert once.status_code == 409
    assert len(command.judge.new) == 1  # type: ignore[union-attr]  # a check


def test_an_empty_evidence_list_is_judged(world: World) -> None:
    assert world.client().post("/v1/checks", json=world.body([])).status_code == 409


HALTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a halt without reason": ("/v1/halt", {}),
    "a halt with an empty reason": ("/v1/halt", {"reason": ""}),
    "a halt with a line break": ("/v1/halt", {"reason": "a\nb"}),
    "a halt with an escape": ("/v1/halt", {"reason": "\x1b[2J"}),
    "a halt of 1025 characters": ("/v1/halt", {"reason": "a" * 1025}),
    "a resume at a text": ("/v1/resume", {"halt_index": "7", "signatures": ["e30="]}),
    "a resume at true": ("/v1/resume", {"halt_index": True, "signatures": ["e30="]}),
    "a resume at a fraction": ("/v1/resume", {"halt_index": 7.5, "signatures": ["e30="]}),
    "a resume below zero": ("/v1/resume", {"halt_index": -1, "signatures": ["e30="]}),
    "a resume without signatures": ("/v1/resume", {"halt_index": 7, "signatures": []}),
    "a resume with too many signatures": ("/v1/resume", {"halt_index": 7, "signatures": ["e30="] * 33}),
    "a resume with a signature that is an object": ("/v1/resume", {"halt_index": 7, "signatures": [{}]}),
}


@pytest.mark.parametrize(("path", "body"), HALTS.values(), ids=HALTS.keys())
def test_an_order_is_refused(world: World, path: str, body: dict[str, Any]) -> None:
    world.san = "spiffe://dev.invalid/person/olga"
    refused(world, json.dumps(body).encode(), 400, "malformed-request", path=path)


def test_a_digest_in_a_path_is_looked_up_only_when_it_is_one(world: World) -> None:
    for path in ("/v1/evidence/..%2f..%2fetc", f"/v1/evidence/{HEX.upper()}", "/v1/decisions/0", "/v1/keys/%00.pem"):
        assert world.client().get(path).status_code == 404


def refused(
    world: World,
    body: bytes,
    status: int,
    code: str,
    *,
    path: str = "/v1/signatures",
    headers: dict[str, str] | None = None,
) -> None:
    answer = world.client().post(path, data=body, headers={"Content-Type": "application/json", **(headers or {})})
    problem = json.loads(answer.data)
    assert (answer.status_code, problem["type"]) == (status, PREFIX + code), problem
    assert answer.content_type == "application/problem+json"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["Request-Id"]
    assert problem.get("remedy") or problem["detail"]
    assert [command for command in world.custodian.asked if not isinstance(command, Status)] == []


def test_every_refused_value_sits_in_a_body_that_is_good_otherwise(world: World) -> None:
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    assert base64.b64decode(item(b"x")["content"]) == b"x"
    assert SUBJECT.sha256 == HEX
