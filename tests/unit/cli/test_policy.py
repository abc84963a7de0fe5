# SPDX-License-Identifier: Apache-2.0
"""`signer policy`, offline: init, lint, explain, test."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from signer.formats.facts import encode_facts
from tests.policy.factory import document, encode, facts, good, pem
from tests.unit.cli.conftest import Run, Signer


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("builder", "scanner", "source"):
        (tmp_path / f"{name}.pub").write_text(pem(name))
    return tmp_path


def init(signer: Signer, keys: Path, *arguments: str, level: str = "strong") -> Run:
    return signer(
        *("policy", "init", "--level", level, "--name", "shop", "--repository", "github.com/acme/shop"),
        *("--builder-id", "https://ci.example/builder", "--builder-key", keys / "builder.pub"),
        *("--scanner-key", keys / "scanner.pub", "--source-key", keys / "source.pub"),
        *("--source-verifier", "https://ci.example/source", "--out", keys / "shop.yaml"),
        *arguments,
    )


@pytest.mark.parametrize("level", ["minimum", "better", "strong"])
def test_a_first_policy_is_clean_tested_and_explained(signer: Signer, keys: Path, level: str) -> None:
    made = init(signer, keys, level=level)
    assert made.code == 0, made.err
    assert "signer policy test" in made.err
    policy = keys / "shop.yaml"
    linted = signer("policy", "lint", "--strict", policy)
    assert (linted.code, linted.out) == (0, ""), linted.out
    tested = signer("policy", "test", policy)
    assert tested.code == 0, tested.out
    assert "0 of " in tested.out.splitlines()[-1]
    explained = signer("policy", "explain", policy, "--environment", "release")
    assert explained.code == 0
    assert "refs/tags/v* means ^refs/tags/v[^/]*$" in explained.out


def test_a_first_policy_with_production_is_clean_and_tested(signer: Signer, keys: Path) -> None:
    made = init(signer, keys, "--production", "--approvers", "sre", level="better")
    assert made.code == 0, made.err
    policy = keys / "shop.yaml"
    assert "groups           people outside the change" in policy.read_text()
    linted = signer("policy", "lint", "--strict", policy)
    assert (linted.code, linted.out) == (0, ""), linted.out
    tested = signer("policy", "test", policy)
    assert tested.code == 0, tested.out
    explained = signer("policy", "explain", policy, "--environment", "production")
    assert "signed approvals of this digest: 1 of sre" in explained.out


def test_init_takes_approvers_only_for_production(signer: Signer, keys: Path) -> None:
    refused = init(signer, keys, "--approvers", "sre")
    assert (refused.code, "go with --production" in refused.err) == (2, True)
    assert not (keys / "shop.yaml").exists()


def test_init_writes_over_nothing(signer: Signer, keys: Path) -> None:
    (keys / "shop.test.yaml").write_text("mine")
    refused = init(signer, keys)
    assert refused.code == 2
    assert "shop.test.yaml exists" in refused.err
    assert not (keys / "shop.yaml").exists()


def test_init_needs_what_its_level_demands(signer: Signer, keys: Path) -> None:
    refused = signer(
        *("policy", "init", "--level", "better", "--name", "shop", "--repository", "github.com/acme/shop"),
        *("--builder-id", "https://x", "--builder-key", keys / "builder.pub", "--out", keys / "shop.yaml"),
        *("--source-key", keys / "source.pub", "--source-verifier", "https://ci.example/source"),
    )
    assert refused.code == 2
    assert "level better needs --scanner-key" in refused.err


def test_init_refuses_a_value_that_makes_no_policy(signer: Signer, keys: Path) -> None:
    refused = init(signer, keys, "--environment", "a b")
    assert refused.code == 2
    assert "[policy-invalid]" in refused.err


def test_lint_names_path_and_remedy_of_a_broken_document(signer: Signer, tmp_path: Path) -> None:
    value = document()
    value["rules"][1]["atLeast"] = "ephemral"
    path = tmp_path / "policy.yaml"
    path.write_bytes(encode(value))
    broken = signer("policy", "lint", path, "-o", "json")
    assert broken.code == 2
    assert broken.document["error"]["code"] == "policy-invalid"
    assert "rules[1].atLeast" in broken.document["error"]["detail"]
    assert broken.document["error"]["remedy"]


def test_lint_ends_by_severity(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(encode(document()))
    assert signer("policy", "lint", path).code == 0
    strict = signer("policy", "lint", path, "--strict", "-o", "json")
    assert strict.code == 3
    assert [remark["path"] for remark in strict.document["remarks"]] == ["trust.keys.stranger", "tests"]
    path.write_bytes(encode({**document(), "metadata": {**document()["metadata"], "expires": "2020-01-01T00:00:00Z"}}))
    expired = signer("policy", "lint", path)
    assert expired.code == 3
    assert "error: metadata.expires: the policy expired" in expired.out


def test_a_policy_whose_tests_fail_ends_with_three_and_says_why(signer: Signer, keys: Path) -> None:
    init(signer, keys)
    tests = keys / "shop.test.yaml"
    tests.write_text(tests.read_text().replace("given: good, expect: allow", "given: good, expect: deny", 1))
    junit, summary = keys / "junit.xml", keys / "summary.md"
    failed = signer("policy", "test", keys / "shop.yaml", "--junit", junit, "--markdown", summary, "-o", "json")
    assert failed.code == 3
    assert failed.document["result"] == "tests-failed"
    assert failed.document["good"] is False
    assert int(next(ET.parse(junit).iter("testsuite")).get("failures", "0")) == 1
    assert summary.read_text().startswith("### ❌ policy shop v1")


def test_a_policy_with_a_survivor_ends_with_three(signer: Signer, keys: Path) -> None:
    init(signer, keys)
    policy, tests = keys / "shop.yaml", keys / "shop.test.yaml"
    policy.write_text(policy.read_text().replace("maxFailed: 0", "maxFailed: 0, acceptWarned: true"))
    survived = signer("policy", "test", policy)
    assert survived.code == 3
    assert "SURVIVED  TST-1: acceptWarned is inverted" in survived.out
    assert signer("policy", "test", policy, "--no-mutants").code == 0
    assert tests.exists()


def test_a_policy_without_tests_is_no_tested_policy(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(encode(document()))
    missing = signer("policy", "test", path)
    assert missing.code == 2
    assert "[policy-tests-missing]" in missing.err


def test_a_recorded_facts_document_is_a_fixture(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_bytes(encode(document()))
    (tmp_path / "facts.json").write_bytes(encode_facts(facts(*good())))
    suite = {
        "schema": "signing-policy-test/v1",
        "at": "2026-11-23T12:00:00Z",
        "environment": "release",
        "fixtures": {"recorded": {"facts": "facts.json"}},
        "trials": [{"name": "as recorded", "given": "recorded", "expect": "allow"}],
    }
    (tmp_path / "demo.test.yaml").write_bytes(encode(suite))
    ran = signer("policy", "test", tmp_path / "demo.yaml", "--no-mutants", "-o", "json")
    assert [trial["faults"] for trial in ran.document["trials"]] == [[]]
    suite["fixtures"] = {"recorded": {"facts": "../facts.json"}}
    (tmp_path / "demo.test.yaml").write_bytes(encode(suite))
    elsewhere = signer("policy", "test", tmp_path / "demo.yaml")
    assert elsewhere.code == 2
    assert "is no name of a file beside the tests [policy-tests-invalid]" in elsewhere.err


def test_explain_refuses_an_environment_that_is_not_there(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(encode(document()))
    refused = signer("policy", "explain", path, "--environment", "moon")
    assert refused.code == 2
    assert "the policy knows release" in refused.err


def test_diff_ends_with_three_until_each_loosening_is_named(signer: Signer, tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_bytes(encode(document()))
    value = document()
    value["rules"][4]["maxFailed"] = 1
    value["rules"][5]["maxAge"] = "3d"
    new.write_bytes(encode(value))
    looser = signer("policy", "diff", old, new)
    assert looser.code == 3
    assert "looser   VUL-1  rules.VUL-1.maxAge: 2d → 3d" in looser.out
    assert "--acknowledge TST-1 --acknowledge VUL-1" in looser.err
    assert signer("policy", "diff", old, new, "--acknowledge", "VUL-1").code == 3
    assert signer("policy", "diff", old, new, "--acknowledge", "VUL-1", "--acknowledge", "TST-1").code == 0
    tighter = signer("policy", "diff", new, old, "-o", "json")
    assert (tighter.code, tighter.document["result"]) == (0, "compared")
    assert {change["direction"] for change in tighter.document["changes"]} == {"tighter"}
    assert signer("policy", "diff", old, old, "-o", "json").document["result"] == "same"
