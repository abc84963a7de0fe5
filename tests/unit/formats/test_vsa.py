# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.source_vsa import is_source_vsa, read_source_vsa
from signer.formats.statement import parse_statement
from signer.formats.vsa import DEV, DEV_LEVEL, PREDICATE_TYPE, build_vsa, parse_vsa

NOW = datetime(2026, 11, 23, 10, 0, 0, 1, UTC)
SUBJECTS = [Subject.parse(f"shop@sha256:{'a' * 64}"), Subject.parse(f"docs@sha256:{'b' * 64}")]
COMMIT = "51c0de" + "0" * 34


def build(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "subjects": SUBJECTS,
        "verifier": "https://sign.example/authority",
        "resource_uri": "https://sign.example/authority/demo/release",
        "policy_uri": "https://sign.example/authority/policies/demo",
        "policy_digest": "c" * 64,
        "time": NOW,
        "inputs": ["d" * 64, "e" * 64],
        "levels": ["AUTHORITY_BUILD_MINIMUM", "SLSA_BUILD_LEVEL_2"],
        "request_id": "0f" * 16,
        "dev": False,
        "version": "0.1.0",
        **changes,
    }
    return build_vsa(**arguments)


def test_what_is_built_is_read_back() -> None:
    found = parse_vsa(build())
    assert [(subject.name, dict(subject.artifact)) for subject in found.subjects] == [
        ("shop", {"sha256": "a" * 64}),
        ("docs", {"sha256": "b" * 64}),
    ]
    assert found.verifier == "https://sign.example/authority"
    assert found.resource_uri == "https://sign.example/authority/demo/release"
    assert (found.policy_uri, found.policy_digest) == ("https://sign.example/authority/policies/demo", "c" * 64)
    assert (found.time, found.result, found.inputs) == (NOW, "PASSED", ("d" * 64, "e" * 64))
    assert found.levels == ("AUTHORITY_BUILD_MINIMUM", "SLSA_BUILD_LEVEL_2")
    assert (found.request_id, found.dev, found.version) == ("0f" * 16, False, "0.1.0")


def test_equal_decisions_give_equal_bytes() -> None:
    assert build() == build()


def test_dev_is_marked_twice() -> None:
    found = parse_vsa(build(dev=True))
    assert found.dev
    assert found.levels[-1] == DEV_LEVEL


def test_a_real_authority_never_carries_the_dev_mark() -> None:
    assert DEV not in json.loads(build())["predicate"]


@pytest.mark.parametrize(
    "levels",
    [
        pytest.param(["SLSA_APPROVED"], id="trap 17: an invented SLSA level"),
        pytest.param(["SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_2"], id="trap 18: two levels of one track"),
        pytest.param(["A", "A"], id="a level twice"),
        pytest.param(["lower"], id="a lower-case level"),
        pytest.param(["A B"], id="a space"),
        pytest.param([""], id="nothing"),
    ],
)
def test_refuses_to_state(levels: list[str]) -> None:
    with pytest.raises(Malformed):
        build(levels=levels)


def changed(**changes: Any) -> bytes:
    body = json.loads(build())
    body["predicate"] |= changes
    for name, value in changes.items():
        if value is ...:
            del body["predicate"][name]
    return json.dumps(body).encode()


REFUSED = [
    pytest.param({"verifier": ...}, id="no verifier"),
    pytest.param({"verifier": {}}, id="no verifier id"),
    pytest.param({"resourceUri": ...}, id="no resource"),
    pytest.param({"policy": ...}, id="no policy"),
    pytest.param({"policy": {}}, id="no policy uri"),
    pytest.param({"verificationResult": "MAYBE"}, id="an unknown result"),
    pytest.param({"verificationResult": ...}, id="no result"),
    pytest.param({"verifiedLevels": ...}, id="no levels"),
    pytest.param({"verifiedLevels": "A"}, id="levels that are text"),
    pytest.param({"verifiedLevels": ["SLSA_SOURCE_LEVEL_1", "SLSA_SOURCE_LEVEL_2"]}, id="two levels of one track"),
    pytest.param({"timeVerified": "2026-11-23"}, id="P11 a date alone"),
    pytest.param({DEV: "yes"}, id="P07 a dev mark that is text"),
]


@pytest.mark.parametrize("changes", REFUSED)
def test_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_vsa(changed(**changes))


def test_a_failed_summary_is_read_as_failed() -> None:
    assert parse_vsa(changed(verificationResult="FAILED")).result == "FAILED"


def test_names_of_later_slsa_versions_are_kept() -> None:
    assert parse_vsa(changed(verifiedLevels=["SLSA_DEPENDENCY_LEVEL_1", "SLSA_NEW"])).levels[-1] == "SLSA_NEW"


def test_refuses_another_predicate_type() -> None:
    body = json.loads(build())
    with pytest.raises(Malformed):
        parse_vsa(json.dumps({**body, "predicateType": "https://in-toto.io/attestation/svr/v0.2"}).encode())


def source(*subjects: dict[str, Any], **changes: Any) -> bytes:
    predicate = {
        "verifier": {"id": "https://source.example"},
        "timeVerified": "2026-11-23T08:00:00Z",
        "resourceUri": "git+https://github.com/acme/shop",
        "policy": {"uri": "https://source.example/policy"},
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_SOURCE_LEVEL_3", "ORG_SOURCE_SIGNED"],
        **changes,
    }
    listed = list(subjects) or [{"digest": {"gitCommit": COMMIT}, "annotations": {"sourceRefs": ["refs/heads/main"]}}]
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": listed,
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    ).encode()


def test_reads_a_source_summary() -> None:
    statement = parse_statement(source())
    assert is_source_vsa(statement)
    found = read_source_vsa(statement)
    assert (found.verifier, found.repository) == ("https://source.example", "github.com/acme/shop")
    assert found.commits == {COMMIT: ("refs/heads/main",)}
    assert found.levels == ("SLSA_SOURCE_LEVEL_3", "ORG_SOURCE_SIGNED")


def test_the_reference_tools_spelling_of_source_refs_is_read_too() -> None:
    subject = {"digest": {"gitCommit": COMMIT}, "annotations": {"source_refs": ["refs/tags/v1", "refs/heads/main"]}}
    found = read_source_vsa(parse_statement(source(subject)))
    assert found.commits[COMMIT] == ("refs/heads/main", "refs/tags/v1")


def test_a_summary_of_artifacts_is_no_source_summary() -> None:
    assert not is_source_vsa(parse_statement(build()))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(source(resourceUri="https://evil@github.com/acme/shop"), id="E12 userinfo"),
        pytest.param(source(resourceUri="pkg:oci/shop"), id="a resource that is no repository"),
        pytest.param(source(verifier={"id": "https://sourc\u0435.example"}), id="E12 a look-alike verifier"),
        pytest.param(source({"digest": {"gitCommit": COMMIT}}, {"digest": {"sha256": "a" * 64}}), id="an artifact too"),
        pytest.param(
            source({"digest": {"gitCommit": COMMIT}, "annotations": {"sourceRefs": "refs/heads/main"}}),
            id="refs that are text",
        ),
        pytest.param(
            source({"digest": {"gitCommit": COMMIT}, "annotations": {"sourceRefs": [1]}}), id="a ref that is a number"
        ),
        pytest.param(source({"digest": {"gitCommit": COMMIT}, "annotations": {"sourceRefs": ["a b"]}}), id="a bad ref"),
    ],
)
def test_refuses_the_source_summary(data: bytes) -> None:
    statement = parse_statement(data)
    with pytest.raises(Malformed):
        read_source_vsa(statement)
