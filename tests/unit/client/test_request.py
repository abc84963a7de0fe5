# SPDX-License-Identifier: Apache-2.0
"""Request bodies: exact bytes of evidence, subjects from files."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from signer.client.request import (
    Evidence,
    evidence_of_file,
    evidence_request,
    resume_request,
    signing_request,
    subject_of_file,
)
from signer.domain.subject import Subject
from signer.errors import Malformed


def test_evidence_travels_byte_for_byte(tmp_path: Path) -> None:
    data = b'{ "payload": "x" }\r\n \xff'
    (tmp_path / "item.json").write_bytes(data)
    [item] = evidence_of_file(tmp_path / "item.json")
    body = json.loads(evidence_request(policy="demo", evidence=[item]))
    assert body == {"policy": "demo", "evidence": [{"content": base64.b64encode(data).decode()}]}


def test_each_line_of_a_json_lines_file_is_one_attestation(tmp_path: Path) -> None:
    path = tmp_path / "all.intoto.jsonl"
    path.write_bytes(b'{"a":1}\n\n{"b":2}\r\n')
    assert [item.content for item in evidence_of_file(path)] == [b'{"a":1}', b'{"b":2}']


@pytest.mark.parametrize("name", ["empty.json", "empty.jsonl"])
def test_an_empty_file_is_no_evidence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(Malformed) as fault:
        evidence_of_file(tmp_path / name)
    assert fault.value.code == "evidence-empty"


def test_an_opaque_document_says_what_it_is() -> None:
    item = Evidence(content=b"log", kind="build-log", media_type="text/plain", subjects=("sha256:" + "ab" * 32,))
    assert item.body() == {
        "content": "bG9n",
        "kind": "build-log",
        "media_type": "text/plain",
        "subjects": ["sha256:" + "ab" * 32],
    }


def test_a_file_is_a_subject_by_its_name_and_digest(tmp_path: Path) -> None:
    (tmp_path / "shop.tar.gz").write_bytes(b"x" * 3_000_000)
    subject = subject_of_file(tmp_path / "shop.tar.gz")
    assert (subject.name, subject.sha256) == ("shop.tar.gz", hashlib.sha256(b"x" * 3_000_000).hexdigest())


def test_a_name_that_cannot_stand_in_a_statement_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my file").touch()
    with pytest.raises(Malformed) as fault:
        subject_of_file(tmp_path / "my file")
    assert fault.value.code == "invalid-subject"


def test_equal_requests_are_equal_bytes() -> None:
    subject = Subject.parse("shop@sha256:" + "ab" * 32)
    first, second = (
        signing_request(policy="p", environment="e", subjects=[subject], evidence=[Evidence(content=b"x")])
        for _ in range(2)
    )
    assert first == second
    assert json.loads(first)["subjects"] == [{"name": "shop", "digest": {"sha256": "ab" * 32}}]


def test_a_resume_carries_the_owners_envelopes() -> None:
    assert json.loads(resume_request(halt_index=7, signatures=[b"a", b"b"])) == {
        "halt_index": 7,
        "signatures": ["YQ==", "Yg=="],
    }
