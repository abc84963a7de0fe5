# SPDX-License-Identifier: Apache-2.0
"""What a pipeline collects is what the authority reads: statements are verified and parsed as it does it."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from signer.collect.runner import PLATFORMS
from signer.evidence.verifier import TrustedKeys, VerifiedAttestation, verify_item
from signer.formats.canonical import sha256_hex
from signer.formats.cyclonedx import CycloneDxDocument
from signer.formats.spdx import SpdxDocument
from signer.formats.spki import spki_pem
from signer.formats.statement import parse_statement
from signer.formats.test_result import TestReport
from signer.formats.vulns import ScanReport
from tests.unit.cli.conftest import FakeAuthority, Signer
from tests.unit.collect.test_junit import PYTEST
from tests.unit.formats.test_scanner_reports import GRYPE, OSV, TRIVY

HEX = "ab" * 32
SUBJECT = f"registry.example/shop@sha256:{HEX}"
KEY = ec.generate_private_key(ec.SECP256R1())
SPDX = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": [{"SPDXID": "a", "name": "a"}]}
CYCLONEDX = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "a"}]}
FINISHED = "2026-11-23T09:07:00Z"
TIMES = ("--started", "2026-11-23T09:06:00Z", "--finished", FINISHED, "--database-updated", "2026-11-22T00:00:00Z")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, document in {"grype": GRYPE, "trivy": TRIVY, "osv": OSV, "spdx": SPDX, "cdx": CYCLONEDX}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    (tmp_path / "junit.xml").write_bytes(PYTEST)
    (tmp_path / "key.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return tmp_path


def verified(path: Path) -> VerifiedAttestation:
    found = verify_item(path.read_bytes(), TrustedKeys.of({"ci": spki_pem(KEY.public_key())}))
    assert isinstance(found, VerifiedAttestation)
    assert [subject.artifact["sha256"] for subject in found.statement.subjects] == [HEX]
    return found


def collected(signer: Signer, files: Path, *arguments: object) -> dict[str, Any]:
    out = files / "out.json"
    run = signer(
        "evidence", "collect", *arguments, "--subject", SUBJECT, "--key", files / "key.pem", "--out", out, "-o", "json"
    )
    assert run.code == 0, run.err
    (row,) = run.document["evidence"]
    assert row["sha256"] == sha256_hex(out.read_bytes())
    return run.document


def test_tests_become_a_test_result_and_failing_ones_do_too(signer: Signer, files: Path) -> None:
    told = collected(signer, files, "tests", files / "junit.xml")
    assert (told["result"], told["passed"], told["failed"], told["skipped"]) == ("collected", 1, 2, 1)
    report = verified(files / "out.json").predicate
    assert isinstance(report, TestReport)
    assert (report.result, report.passed, report.failed, report.suites) == ("FAILED", 1, 2, ("unit",))


@pytest.mark.parametrize("predicate", ["cosign", "in-toto"])
@pytest.mark.parametrize("scanner", ["grype", "trivy", "osv"])
def test_a_scanners_report_becomes_a_scan(signer: Signer, files: Path, scanner: str, predicate: str) -> None:
    collected(signer, files, "scan", files / f"{scanner}.json", "--predicate", predicate, *TIMES)
    report = verified(files / "out.json").predicate
    assert isinstance(report, ScanReport)
    assert scanner in report.scanner_uri
    assert report.finished == datetime(2026, 11, 23, 9, 7, tzinfo=UTC)
    first, *_ = report.vulnerabilities
    assert (first.severity, first.score) == ("high", 81)
    assert bool(first.package) is (predicate == "cosign")


def test_times_that_the_report_states_need_no_option(signer: Signer, files: Path) -> None:
    stated = {**GRYPE, "descriptor": {**GRYPE["descriptor"], "timestamp": "2026-11-23T10:07:00.5+01:00"}}
    (files / "grype.json").write_text(json.dumps(stated))
    collected(signer, files, "scan", files / "grype.json")
    report = verified(files / "out.json").predicate
    assert isinstance(report, ScanReport)
    assert (report.started, report.database_updated) == (None, datetime(2026, 11, 22, tzinfo=UTC))
    assert report.finished == datetime(2026, 11, 23, 9, 7, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "form", "kind"), [("spdx", "SPDX 2.3", SpdxDocument), ("cdx", "CycloneDX 1.6", CycloneDxDocument)]
)
def test_an_inventory_becomes_a_statement(signer: Signer, files: Path, name: str, form: str, kind: type) -> None:
    told = collected(signer, files, "sbom", files / f"{name}.json")
    assert (told["format"], told["components"]) == (form, 1)
    assert isinstance(verified(files / "out.json").predicate, kind)


def test_without_a_key_the_statement_is_there_to_be_signed(signer: Signer, files: Path) -> None:
    run = signer("evidence", "collect", "tests", files / "junit.xml", "--subject", SUBJECT, "--out", files / "s.json")
    assert run.code == 0
    assert "sign it, with --key" in run.err
    assert parse_statement((files / "s.json").read_bytes()).subjects[0].artifact == {"sha256": HEX}


def test_a_job_becomes_metadata(signer: Signer, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = files / "runner-metadata.json"
    job = {
        "GITLAB_CI": "true",
        "CI_PROJECT_PATH": "acme/shop",
        "CI_JOB_ID": "1",
        "CI_COMMIT_SHA": "ab",
        "CI_JOB_TOKEN": "x",
    }
    for known in PLATFORMS.values():
        monkeypatch.delenv(known.mark, raising=False)
    run = signer("evidence", "collect", "runner", "--out", out, **job)
    assert run.code == 0, run.err
    assert json.loads(out.read_bytes())["variables"]["CI_PROJECT_PATH"] == "acme/shop"
    assert "--kind runner-metadata" in run.err


def test_a_change_becomes_a_range_and_a_summary(signer: Signer, files: Path) -> None:
    git = ["git", "-C", str(files), "-c", "user.name=Ada", "-c", "user.email=ada@acme.example"]
    subprocess.run([*git, "init", "-q"], check=True)
    for subject in ("Begin", "Go on"):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", subject], check=True)
    run = signer(
        "evidence", "collect", "git", "--directory", files, "--base", "HEAD~1",
        "--out", files / "commit-range.txt", "--summary", files / "summary.md", "-o", "json",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert [row["kind"] for row in run.document["evidence"]] == ["commit-range", "pull-request-summary"]
    assert "subject    Go on" in (files / "commit-range.txt").read_text()


REFUSED: dict[str, tuple[str, int, str]] = {
    "a report of no known scanner": ("scan spdx.json SUBJECT OUT", 2, "scan-unknown"),
    "a scan without its time": ("scan trivy.json SUBJECT OUT", 2, "scan-incomplete"),
    "an in-toto scan without its beginning": (
        f"scan grype.json --predicate in-toto --finished {FINISHED} SUBJECT OUT",
        2,
        "scan-incomplete",
    ),
    "a date alone": ("scan grype.json --finished 2026-11-23 SUBJECT OUT", 2, "usage"),
    "an inventory of no known form": ("sbom grype.json SUBJECT OUT", 2, "sbom-unknown"),
    "a report that is not JSON": ("scan junit.xml SUBJECT OUT", 2, "malformed-json"),
    "tests of no XML": ("tests grype.json SUBJECT OUT", 2, "report-malformed"),
    "no subject": ("tests junit.xml OUT", 2, "usage"),
    "a tag as subject": ("tests junit.xml --subject shop:latest OUT", 2, "invalid-digest"),
    "a key that is none": ("tests junit.xml SUBJECT OUT --key junit.xml", 78, "key-unreadable"),
    "a passphrase without a key": ("tests junit.xml SUBJECT OUT --passphrase-file junit.xml", 2, "usage"),
    "a file that is not there": ("tests none.xml SUBJECT OUT", 2, "usage"),
    "no CI system": ("runner OUT", 2, "runner-unknown"),
    "half a job": ("runner --platform tekton OUT", 2, "runner-incomplete"),
    "a title without a summary": ("git --base HEAD --title x OUT", 2, "usage"),
    "an output nowhere": ("runner --platform tekton --out none/out.json", 2, "usage"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_remedy(
    signer: Signer, files: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(files)
    for known in PLATFORMS.values():
        monkeypatch.delenv(known.mark, raising=False)
    line, code, error = REFUSED[case]
    words = line.replace("SUBJECT", f"--subject {SUBJECT}").replace("OUT", "--out out.json").split()
    run = signer("evidence", "collect", *words, "-o", "json")
    assert (run.code, run.document["error"]["code"]) == (code, error)
    assert run.document["error"]["remedy"]
    assert not (files / "out.json").exists()


def test_a_statement_that_no_envelope_could_carry_is_refused(
    signer: Signer, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signer.collect.claims.MAX_PAYLOAD", 500)
    words = (*TIMES, "--subject", SUBJECT, "--out", files / "o")
    run = signer("evidence", "collect", "scan", files / "grype.json", *words)
    assert run.code == 2
    assert "--predicate in-toto" in run.err


def test_a_template_has_blanks_and_is_not_kept_until_they_are_filled(
    signer: Signer, authority: FakeAuthority, tmp_path: Path
) -> None:
    plan = tmp_path / "rollback-plan.md"
    run = signer(
        "evidence", "template", "rollback-plan", "--subject", SUBJECT, "--environment", "production",
        "--to", f"sha256:{'cd' * 32}", "--out", plan,
    )  # fmt: skip
    assert run.code == 0, run.err
    text = plan.read_text()
    assert f"`sha256:{HEX}`" in text
    assert "- environment: production\n" in text
    add = ("evidence", "add", plan, "--policy", "demo", "--kind", "rollback-plan", "--media-type", "text/markdown",
           "--subject", f"sha256:{HEX}")  # fmt: skip
    refused = signer(*add)
    assert (refused.code, authority.asked) == (2, [])
    assert "template-unfilled" in refused.err
    plan.write_text(text.replace("FILL IN:", "Done:"))
    authority.answers.append({"evidence": [{"digest": HEX, "leaf": 7}]})
    assert signer(*add).code == 0


def test_a_summary_template_goes_to_stdout(signer: Signer) -> None:
    run = signer("evidence", "template", "pull-request-summary", "--pull-request", "https://git.example/pull/7")
    assert run.out.startswith("# Pull request summary\n")
    assert "https://git.example/pull/7" in run.out
    assert run.out.count("FILL IN:") == 6


def test_an_approval_record_has_every_field_and_no_blank(signer: Signer) -> None:
    words = ("--reference", "registry.example/shop:1.2", "--environment", "production", "--approver", "ada",
             "--at", "2026-11-23T10:00:00+01:00", "--source", "https://tickets.example/CHG-17")  # fmt: skip
    run = signer("evidence", "template", "approval-record", *words)
    assert json.loads(run.out) == {
        "reference": "registry.example/shop:1.2",
        "digest": None,
        "environment": "production",
        "approver": "ada",
        "at": "2026-11-23T09:00:00.000000Z",
        "source": "https://tickets.example/CHG-17",
    }
    named = signer("evidence", "template", "approval-record", *words, "--digest", f"sha256:{HEX}")
    assert json.loads(named.out)["digest"] == f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        pytest.param("approval-record --reference a", "usage", id="an approval without the rest"),
        pytest.param(f"rollback-plan --subject {SUBJECT} --to sha256:{HEX}", "rollback-same", id="back to itself"),
        pytest.param("rollback-plan --to shop:1.1", "invalid-digest", id="back to a tag"),
        pytest.param(f"rollback-plan --to sha512:{HEX * 2}", "invalid-digest", id="back to another digest"),
    ],
)
def test_a_template_is_refused(signer: Signer, line: str, error: str) -> None:
    run = signer("evidence", "template", *line.split(), "-o", "json")
    assert (run.code, run.document["error"]["code"]) == (2, error)
    assert run.document["error"]["remedy"]
