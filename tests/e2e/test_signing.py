# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signer.dev.attestations import (
    attest,
    provenance_statement,
    sbom_statement,
    scan_statement,
    suite_statement,
)
from signer.dev.directory import IDENTITIES
from signer.dev.samples import subject_of
from tests.e2e.conftest import Release
from tests.e2e.running import REQUEST, Running

BAD_ONES = ("bad-provenance.json", "bad-sbom.json", "bad-scan.json", "bad-source.json", "bad-tests.json")


def test_good_samples_are_signed(authority: Running, release: Release) -> None:
    assert release.bundle.exists()
    assert release.receipt.exists()


def test_the_exported_subject_is_the_good_artifact(authority: Running) -> None:
    content = authority.sample("artifact.txt").read_bytes()
    expected = f"artifact.txt@sha256:{hashlib.sha256(content).hexdigest()}"
    assert authority.environ["SIGNER_DEV_SUBJECT"] == expected
    ran = authority.signer("sign", *REQUEST, "--subject", expected, *authority.evidence("good"))
    assert ran.code == 0, ran.err


def test_bad_samples_are_denied_with_every_reason(authority: Running) -> None:
    ran = authority.signer(
        "sign",
        *REQUEST,
        "--subject-file",
        authority.sample("bad-artifact.txt"),
        *authority.evidence("bad"),
        "-o",
        "json",
    )
    assert ran.code == 10
    assert ran.json["result"] == "denied"
    findings = {finding["rule"]: finding for finding in ran.json["decision"]["findings"]}
    assert findings["BLD-1"]["outcome"] == "fail"
    assert "https://dev.invalid/laptop" in findings["BLD-1"]["found"]
    assert findings["VUL-1"]["outcome"] == "fail"
    assert "CVE-2026-40021" in findings["VUL-1"]["title"]
    assert findings["TST-1"]["outcome"] == "fail"
    assert findings["SBM-1"]["outcome"] == "unknown"
    assert all(finding["required"] and finding["found"] and finding["remedy"] for finding in findings.values())
    assert "nothing was signed" in ran.err


@pytest.mark.parametrize("name", BAD_ONES)
def test_each_bad_sample_alone_is_denied(authority: Running, name: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    ran = authority.signer(
        "sign",
        *REQUEST,
        "--subject-file",
        authority.sample("bad-artifact.txt"),
        "--evidence",
        authority.sample(name),
        "--bundle",
        bundle,
    )
    assert ran.code in (10, 12), ran.err
    assert not bundle.exists()


def test_good_samples_are_signed_again_after_denials(authority: Running) -> None:
    assert authority.sign().code == 0


def test_without_evidence_the_answer_is_unknown(authority: Running, tmp_path: Path) -> None:
    artifact = tmp_path / "unheard-of.tar"
    artifact.write_bytes(b"nobody attested this")
    ran = authority.signer("sign", *REQUEST, "--subject-file", artifact, "-o", "json")
    assert ran.code == 12
    assert {finding["outcome"] for finding in ran.json["decision"]["findings"]} == {"unknown"}


def test_evidence_about_another_artifact_is_not_judged(authority: Running) -> None:
    ran = authority.signer(
        "sign", *REQUEST, "--subject-file", authority.sample("artifact.txt"), *authority.evidence("bad"), "-o", "json"
    )
    assert ran.code == 12
    assert ran.json["error"]["code"] == "subject-mismatch"
    assert "decision" not in ran.json


def test_a_retry_under_the_same_key_gets_the_identical_receipt(authority: Running, tmp_path: Path) -> None:
    receipts = [tmp_path / "first.json", tmp_path / "second.json"]
    for receipt in receipts:
        ran = authority.sign("--receipt", receipt, "--idempotency-key", "e2e-retry-1")
        assert ran.code == 0, ran.err
    assert receipts[0].read_bytes() == receipts[1].read_bytes()


def test_another_request_under_the_same_key_is_a_conflict(authority: Running) -> None:
    assert authority.sign("--idempotency-key", "e2e-conflict").code == 0
    ran = authority.signer(
        "sign",
        *REQUEST,
        "--subject-file",
        authority.sample("bad-artifact.txt"),
        "--idempotency-key",
        "e2e-conflict",
    )
    assert ran.code == 2, ran.err


def test_several_subjects_are_signed_in_one_statement(authority: Running, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    artifacts = [tmp_path / f"part-{number}.bin" for number in range(3)]
    for artifact in artifacts:
        artifact.write_bytes(artifact.name.encode())
    subjects = [subject_of(artifact) for artifact in artifacts]
    builder, scanner = authority.key("builder"), authority.key("scanner")
    for name, envelope in (
        ("provenance", attest(provenance_statement(subjects, finished=now - timedelta(minutes=1)), builder)),
        ("sbom", attest(sbom_statement(subjects, created=now), builder)),
        ("tests", attest(suite_statement(subjects), builder)),
        ("scan", attest(scan_statement(subjects, finished=now - timedelta(minutes=1)), scanner)),
    ):
        (tmp_path / f"{name}.json").write_bytes(envelope)
    files = [word for artifact in artifacts for word in ("--subject-file", artifact)]
    bundle = tmp_path / "bundle.json"
    ran = authority.signer(
        "sign",
        *REQUEST,
        *files,
        "--evidence",
        *sorted(tmp_path.glob("[pst]*.json")),
        authority.sample("good-source.json"),
        "--bundle",
        bundle,
    )
    assert ran.code == 0, ran.err
    for artifact in artifacts:
        verified = authority.signer("verify", "--allow-dev", "--bundle", bundle, "--subject-file", artifact)
        assert verified.code == 0, verified.err


def test_one_subject_without_evidence_denies_all(authority: Running, tmp_path: Path) -> None:
    stray = tmp_path / "stray.bin"
    stray.write_bytes(b"stray")
    assert authority.sign("--subject-file", stray).code == 12


@pytest.mark.parametrize(
    ("kind", "artifact", "codes"), [("good", "artifact.txt", (0,)), ("bad", "bad-artifact.txt", (10, 12))]
)
def test_a_check_answers_like_sign_and_records_nothing(
    authority: Running, kind: str, artifact: str, codes: tuple[int, ...]
) -> None:
    before = authority.signer("log", "checkpoint", "-o", "json").json["size"]
    ran = authority.signer(
        "check", *REQUEST, "--subject-file", authority.sample(artifact), *authority.evidence(kind), "-o", "json"
    )
    assert ran.code in codes, ran.err
    assert ran.json["decision"]["findings"]
    assert authority.signer("log", "checkpoint", "-o", "json").json["size"] == before


@pytest.mark.parametrize("identity", [name for name in IDENTITIES if name != "ci"])
def test_nobody_but_ci_may_sign(authority: Running, identity: str) -> None:
    ran = authority.sign(identity=identity)
    assert ran.code == 4, ran.err


@pytest.mark.parametrize(
    ("policy", "environment"),
    [
        pytest.param("other", "release", id="a policy that does not exist"),
        pytest.param("demo", "nowhere", id="an environment that does not exist"),
    ],
)
def test_what_does_not_exist_is_answered_like_what_is_forbidden(
    authority: Running, policy: str, environment: str
) -> None:
    artifact = authority.sample("artifact.txt")
    unknown = authority.signer("sign", "--policy", policy, "--environment", environment, "--subject-file", artifact)
    forbidden = authority.signer("sign", *REQUEST, "--subject-file", artifact, identity="deployer")
    assert unknown.code == forbidden.code == 4
    assert unknown.err.splitlines()[:2] == forbidden.err.splitlines()[:2]


def test_without_a_client_certificate_nothing_is_answered(authority: Running) -> None:
    ran = authority.sign(SIGNER_CLIENT_CERT="", SIGNER_CLIENT_KEY="")
    assert ran.code == 4, ran.err
