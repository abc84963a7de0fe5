# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.statement import MAX_DIGESTS, MAX_SUBJECTS, TYPE, build_statement, parse_statement

SHA = "a" * 64
OTHER = "b" * 64
COMMIT = "c" * 40


def statement(*subjects: dict[str, Any], **changes: Any) -> bytes:
    body = {
        "_type": TYPE,
        "subject": list(subjects) or [{"name": "shop", "digest": {"sha256": SHA}}],
        "predicateType": "https://example.com/p/v1",
        "predicate": {"a": 1},
    }
    return json.dumps({**body, **changes}).encode()


def digest(**values: str) -> dict[str, Any]:
    return {"digest": values}


def test_reads_subjects_by_accepted_algorithm() -> None:
    listed = {"name": "shop", "digest": {"sha256": SHA, "sha512": "d" * 128, "md5": "0" * 32, "gitCommit": COMMIT}}
    [subject] = parse_statement(statement(listed)).subjects
    assert dict(subject.artifact) == {"sha256": SHA, "sha512": "d" * 128}
    assert subject.commit == COMMIT


@pytest.mark.parametrize("predicate", [pytest.param({"predicate": None}, id="null"), pytest.param({}, id="absent")])
def test_a_predicate_that_is_not_there_is_empty(predicate: dict[str, Any]) -> None:
    body = json.loads(statement())
    del body["predicate"]
    assert parse_statement(json.dumps({**body, **predicate}).encode()).predicate == {}


def test_the_same_digest_under_two_names_is_allowed() -> None:
    parse_statement(statement({"name": "a", **digest(sha256=SHA)}, {"name": "b", **digest(sha256=SHA)}))


@pytest.mark.parametrize("name", ["_", "", None])
def test_unnamed_subjects_may_differ(name: str | None) -> None:
    parse_statement(statement({"name": name, **digest(sha256=SHA)}, {"name": name, **digest(sha256=OTHER)}))


REFUSED = [
    pytest.param(statement(_type="https://in-toto.io/Statement/v0.1"), id="trap 14: Statement v0.1"),
    pytest.param(statement(_type=""), id="no type"),
    pytest.param(statement(subject=[]), id="no subject"),
    pytest.param(statement(subject={}), id="subjects that are an object"),
    pytest.param(statement(predicateType=""), id="E05 an empty predicate type"),
    pytest.param(statement(predicateType=None), id="E05 no predicate type"),
    pytest.param(statement(predicate=[]), id="a predicate that is a list"),
    pytest.param(statement(predicate="text"), id="a predicate that is text"),
    pytest.param(statement({"name": "a"}), id="a subject without digest"),
    pytest.param(statement({"digest": {}}), id="an empty digest set"),
    pytest.param(statement(digest(sha256=SHA.upper())), id="trap 7, P06: upper-case hex"),
    pytest.param(statement(digest(sha256="a" * 63)), id="P06: 63 digits"),
    pytest.param(statement(digest(sha256="a" * 65)), id="P06: 65 digits"),
    pytest.param(statement(digest(sha256=f"sha256:{SHA}")), id="P06: a prefix"),
    pytest.param(statement(digest(sha256=f"{SHA}\n")), id="P06: a trailing newline"),
    pytest.param(statement(digest(sha256="g" * 64)), id="P06: no hex"),
    pytest.param(statement(digest(sha256="\uff41" * 64)), id="P06: letters outside ASCII"),
    pytest.param(statement(digest(sha256="d" * 128)), id="P06: sha512 under sha256"),
    pytest.param(statement(digest(sha256="d" * 40)), id="trap 8: SHA-1 under sha256"),
    pytest.param(statement(digest(sha256=SHA, sha512="d" * 64)), id="P06: sha256 under sha512"),
    pytest.param(statement(digest(gitCommit="c" * 39)), id="a short commit"),
    pytest.param(statement(digest(gitCommit="C" * 40)), id="an upper-case commit"),
    pytest.param(
        statement({"name": "a", **digest(sha256=SHA)}, {"name": "a", **digest(sha256=OTHER)}),
        id="E04: one name, two digests",
    ),
    pytest.param(
        statement({"name": "a", **digest(gitCommit=COMMIT)}, {"name": "a", **digest(gitCommit="d" * 40)}),
        id="E04: one name, two commits",
    ),
    pytest.param(statement({"digest": {"sha256": 7}}), id="a digest that is a number"),
    pytest.param(statement().replace(b'"_type"', b'"_type":"x","_type"', 1), id="P01: two types"),
    pytest.param(statement(*[digest(sha256=SHA)] * (MAX_SUBJECTS + 1)), id="P09: too many subjects"),
    pytest.param(
        statement({"digest": {f"x{number}": "1" for number in range(MAX_DIGESTS + 1)}}), id="P09: too many digests"
    ),
    pytest.param(b"null", id="no object"),
]


@pytest.mark.parametrize("data", REFUSED)
def test_refuses(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_statement(data)


def test_the_most_subjects_are_read() -> None:
    assert len(parse_statement(statement(*[digest(sha256=SHA)] * MAX_SUBJECTS)).subjects) == MAX_SUBJECTS


NAMES = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(st.dictionaries(NAMES, st.binary(max_size=8), min_size=1, max_size=8))
def test_what_is_built_is_read_back(artifacts: dict[str, bytes]) -> None:
    subjects = [Subject(name, (Digest.of(data),)) for name, data in artifacts.items()]
    parsed = parse_statement(build_statement(subjects, predicate_type="https://example.com/p", predicate={"k": [1]}))
    assert [(subject.name, subject.artifact["sha256"]) for subject in parsed.subjects] == [
        (subject.name, subject.sha256) for subject in subjects
    ]
    assert (parsed.predicate_type, parsed.predicate) == ("https://example.com/p", {"k": [1]})
