# SPDX-License-Identifier: Apache-2.0
"""`signer policy activate|list|show` and `signer access`."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from signer.formats.canonical import sha256_hex
from tests.policy.factory import document, encode
from tests.unit.cli.conftest import FakeAuthority, Signer, answered

POLICY = encode(document())
ACCESS = b"""\
schema: signing-access/v1
metadata: {name: access, version: 4}
people: [{id: alice, sans: ["spiffe://x.invalid/person/alice"]}]
grants:
  - {to: "person:alice", actions: [halt, policy], policies: ["*"], environments: ["*"], repositories: ["*"]}
"""


def in_force(name: str, version: int, data: bytes, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "digest": sha256_hex(data),
        "leaf": 3,
        "content": base64.b64encode(data).decode(),
        **changes,
    }


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_bytes(POLICY)
    (tmp_path / "access.yaml").write_bytes(ACCESS)
    for number in (1, 2):
        (tmp_path / f"owner-{number}").write_bytes(b"envelope %d" % number)
    return tmp_path


def signatures(files: Path) -> tuple[object, ...]:
    return ("--signature", files / "owner-1", "--signature", files / "owner-2")


@pytest.mark.parametrize(("sort", "data"), [("policy", POLICY), ("access", ACCESS)], ids=["policy", "access"])
def test_activation_sends_exact_bytes_and_both_signatures(
    signer: Signer, authority: FakeAuthority, files: Path, sort: str, data: bytes
) -> None:
    authority.answers = [{"leaf": 12, "name": "n", "version": 4, "digest": sha256_hex(data)}]
    ran = signer(sort, "activate", files / f"{sort}.yaml", *signatures(files), "-o", "json")
    assert ran.code == 0, ran.err
    assert (ran.document["leaf"], ran.document["digest"]) == (12, sha256_hex(data))
    name, (document, request), _ = authority.asked[0]
    assert (name, document) == ("activate", sort)
    assert isinstance(request, bytes)
    assert base64.b64encode(data) in request
    assert base64.b64encode(b"envelope 2") in request


def test_an_answer_about_other_bytes_is_no_success(signer: Signer, authority: FakeAuthority, files: Path) -> None:
    authority.answers = [{"leaf": 12, "name": "demo", "version": 1, "digest": "0" * 64}]
    ran = signer("policy", "activate", files / "policy.yaml", *signatures(files))
    assert ran.code == 20
    assert "[answer-malformed]" in ran.err


def test_a_refused_activation_says_why(signer: Signer, authority: FakeAuthority, files: Path) -> None:
    for code, status, expected in (("owner-threshold", 403, 4), ("version-not-newer", 409, 2)):
        authority.answers = [answered(status, code)]
        ran = signer("policy", "activate", files / "policy.yaml", *signatures(files))
        assert (ran.code, f"[{code}]" in ran.err) == (expected, True)


def test_a_document_that_is_none_is_not_sent(signer: Signer, authority: FakeAuthority, files: Path) -> None:
    ran = signer("policy", "activate", files / "access.yaml", *signatures(files))
    assert ran.code == 2
    assert authority.asked == []


@pytest.mark.parametrize(("days", "says"), [(-1, "expired 20"), (29, "expires 20"), (31, "expires 20")])
def test_the_list_says_when_a_policy_ends(signer: Signer, authority: FakeAuthority, days: int, says: str) -> None:
    end = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    authority.answers = [{"policies": [{**in_force("demo", 1, POLICY), "expires": end}], "shadows": []}]
    listed = signer("policy", "list").out
    assert f"  {says}" in listed


def test_policies_in_force_are_listed_and_shown(signer: Signer, authority: FakeAuthority, files: Path) -> None:
    answer = {"policies": [in_force("demo", 1, POLICY), in_force("shop", 7, b"x")]}
    authority.answers = [answer, answer, answer, answer]
    listed = signer("policy", "list")
    assert [line.split("  ")[0] for line in listed.out.splitlines()] == ["demo v1", "shop v7"]
    assert signer("policy", "show", "demo").out.encode() == POLICY
    out = files / "out.yaml"
    assert signer("policy", "show", "demo", "--out", out).code == 0
    assert out.read_bytes() == POLICY
    missing = signer("policy", "show", "other")
    assert (missing.code, "[not-found]" in missing.err) == (4, True)


def test_a_document_that_is_not_what_its_digest_names_is_not_shown(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"policies": [in_force("demo", 1, POLICY, digest="0" * 64)]}]
    assert signer("policy", "show", "demo").code == 20


def test_the_access_document_in_force_is_shown(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"access": [in_force("access", 4, ACCESS)]}]
    assert signer("access", "show").out.encode() == ACCESS


def test_access_lint_names_path_and_fault(signer: Signer, files: Path) -> None:
    assert signer("access", "lint", "--strict", files / "access.yaml").code == 0
    broken = files / "broken.yaml"
    broken.write_bytes(ACCESS.replace(b"person:alice", b"person:bob"))
    refused = signer("access", "lint", broken)
    assert refused.code == 2
    assert "grants[0].to: 'person:bob' is nobody in this document [access-invalid]" in refused.err
    wide = files / "wide.yaml"
    wide.write_bytes(ACCESS.replace(b"halt, policy", b"sign"))
    assert signer("access", "lint", wide).code == 0
    strict = signer("access", "lint", wide, "--strict", "-o", "json")
    assert strict.code == 3
    assert [remark["path"] for remark in strict.document["remarks"]] == ["person:alice", "grants", "grants"]


# Shadow


def test_a_policy_in_shadow_says_so_on_the_wire(signer: Signer, authority: FakeAuthority, files: Path) -> None:
    authority.answers = [{"leaf": 12, "digest": sha256_hex(POLICY)}]
    ran = signer("policy", "activate", files / "policy.yaml", *signatures(files), "--shadow")
    assert (ran.code, "SHADOW  policy demo v1" in ran.err) == (0, True)
    _, (document, request), _ = authority.asked[0]
    assert document == "shadow"
    assert isinstance(request, bytes)
    assert json.loads(request)["shadow"] is True


def test_acknowledged_rules_stand_on_the_wire(signer: Signer, authority: FakeAuthority, files: Path) -> None:
    authority.answers = [{"leaf": 12, "digest": sha256_hex(POLICY)}]
    ran = signer("policy", "activate", files / "policy.yaml", *signatures(files), "--acknowledge", "VUL-1")
    assert ran.code == 0
    _, (_, request), _ = authority.asked[0]
    assert isinstance(request, bytes)
    assert json.loads(request)["acknowledge"] == ["VUL-1"]


WATCHED = {
    "policy": {"name": "demo", "version": 2, "digest": "0" * 64},
    "rules": [
        {
            "rule": "VUL-1",
            "effective_on": "2027-01-15T00:00:00.000000Z",
            "decisions": 41,
            "since": "2026-11-01T00:00:00.000000Z",
            "flips": {"VUL-1": 3},
            "waits": "",
        }
    ],
    "document": {
        "version": 3,
        "digest": "1" * 64,
        "leaf": 9,
        "decisions": 2,
        "since": None,
        "flips": {},
        "waits": "version 3 was watched in shadow over 2 decisions",
    },
}


def test_what_is_in_shadow_is_shown(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [WATCHED, WATCHED]
    ran = signer("policy", "shadow", "demo")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "version 3: 2 decisions",
        "  waits: version 3 was watched in shadow over 2 decisions",
        "rule VUL-1: 41 decisions since 2026-11-01T00:00:00.000000Z, in force from 2027-01-15T00:00:00.000000Z",
        "  3 would have been turned by VUL-1",
    ]
    assert "demo v2: 2 in shadow, 1 not ready to come into force" in ran.err
    assert signer("policy", "shadow", "demo", "-o", "json").document["document"]["version"] == 3


def test_shadows_are_listed_beside_what_is_in_force(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"policies": [in_force("demo", 1, POLICY)], "shadows": [in_force("demo", 2, POLICY)]}]
    first, second = signer("policy", "list").out.splitlines()
    assert (first.startswith("demo v1"), first.endswith("leaf 3")) == (True, True)
    assert (second.startswith("demo v2"), second.endswith("in shadow")) == (True, True)
