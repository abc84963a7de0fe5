# SPDX-License-Identifier: Apache-2.0
"""What people look at afterwards: decisions, evidence, keys, trust and the log."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Release
from tests.e2e.running import Running


def test_a_decision_is_explained_by_its_request_id(authority: Running, release: Release) -> None:
    ran = authority.signer("explain", release.request_id)
    assert ran.code == 0, ran.err
    assert release.request_id in ran.out + ran.err
    for rule in ("BLD-1", "SRC-2", "VUL-1"):
        assert rule in ran.out + ran.err


def test_a_decision_is_listed_and_shown(authority: Running, release: Release) -> None:
    digest = hashlib.sha256(authority.sample("artifact.txt").read_bytes()).hexdigest()
    listed = authority.signer("decision", "list", "--digest", digest, "--verdict", "allow", "-o", "json")
    assert listed.code == 0, listed.err
    assert release.request_id in {row["request_id"] for row in listed.json["decisions"]}
    shown = authority.signer("decision", "show", release.request_id)
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["outcome"]["status"] == "signed"


def test_decisions_are_for_those_who_may_read_them(authority: Running, release: Release) -> None:
    assert authority.signer("decision", "show", release.request_id, identity="auditor").code == 0
    unknown = authority.signer("decision", "show", "0" * 32, identity="auditor")
    assert unknown.code == 4


def test_evidence_is_kept_and_given_back_byte_for_byte(authority: Running, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_bytes(b"compiling\nlinking\n")
    subject = authority.environ["SIGNER_DEV_SUBJECT"].rpartition("@")[2]
    added = authority.signer(
        *("evidence", "add", log, "--policy", "demo", "--kind", "build-log"),
        *("--media-type", "text/plain", "--subject", subject, "-o", "json"),
    )
    assert added.code == 0, added.err
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    assert [entry["digest"].removeprefix("sha256:") for entry in added.json["evidence"]] == [digest]
    shown = authority.signer("evidence", "show", f"sha256:{digest}")
    assert (shown.code, shown.out) == (0, log.read_text())


def test_a_large_document_is_kept_and_given_back_byte_for_byte(authority: Running, tmp_path: Path) -> None:
    log, back = tmp_path / "build.log", tmp_path / "back.log"
    log.write_bytes(os.urandom(5 * 1024 * 1024))
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    about = ("--kind", "build-log", "--subject", authority.environ["SIGNER_DEV_SUBJECT"].rpartition("@")[2])
    leaves = []
    for _ in range(2):
        added = authority.signer("evidence", "add", log, "--policy", "demo", *about, "-o", "json")
        assert added.code == 0, added.err
        leaves += [(row["digest"], row["leaf"]) for row in added.json["evidence"]]
    assert leaves[0] == leaves[1], "what is added twice is kept once"
    assert leaves[0][0] == digest
    shown = authority.signer("evidence", "show", f"sha256:{digest}", "--out", back)
    assert shown.code == 0, shown.err
    assert back.read_bytes() == log.read_bytes()


def test_a_document_beyond_the_limit_is_refused_before_it_is_sent(authority: Running, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2 * 1024**3)
    about = ("--kind", "build-log", "--subject", f"sha256:{'ab' * 32}")
    refused = authority.signer("evidence", "add", huge, "--policy", "demo", *about)
    assert (refused.code, "too-large" in refused.err, "[documents]" in refused.err) == (2, True, True), refused.err


def test_an_attestation_is_kept_once(authority: Running, release: Release) -> None:
    leaves = []
    for _ in range(2):
        ran = authority.signer("evidence", "add", authority.sample("good-scan.json"), "--policy", "demo", "-o", "json")
        assert ran.code == 0, ran.err
        leaves.append(ran.json["evidence"][0]["leaf"])
    assert leaves[0] == leaves[1]


def test_a_deployer_keeps_no_evidence(authority: Running) -> None:
    ran = authority.signer(
        "evidence", "add", authority.sample("good-scan.json"), "--policy", "demo", identity="deployer"
    )
    assert ran.code == 4


def test_the_release_key_is_listed(authority: Running) -> None:
    ran = authority.signer("keys", "list", "-o", "json")
    assert ran.code == 0, ran.err
    assert [(key["name"], key["purpose"]) for key in ran.json["keys"]] == [
        ("production", "statement"),
        ("release", "statement"),
    ]


def test_the_trust_file_is_shown_and_current(authority: Running) -> None:
    local = authority.signer("trust", "show", "-o", "json")
    fetched = authority.signer("trust", "show", "--fetch", "-o", "json")
    assert (local.code, fetched.code) == (0, 0), local.err + fetched.err
    assert local.json["trust"] == fetched.json["trust"]
    assert local.json["trust"]["dev"] is True
    assert authority.signer("trust", "update").code == 0


def test_the_auditor_verifies_the_whole_log(authority: Running, release: Release) -> None:
    ran = authority.signer("log", "verify", "--receipt", release.receipt, "-o", "json", identity="auditor")
    assert ran.code == 0, ran.err
    assert ran.json["open_decisions"] == []
    assert ran.json["leaves"]["genesis"] == 1


def test_the_log_extends_every_checkpoint_seen(authority: Running, release: Release, tmp_path: Path) -> None:
    kept = tmp_path / "checkpoint"
    assert authority.signer("log", "checkpoint", "--out", kept).code == 0
    assert authority.sign().code == 0
    ran = authority.signer("log", "verify", "--checkpoint", kept, identity="auditor")
    assert ran.code == 0, ran.err


def test_entries_are_not_for_everybody(authority: Running) -> None:
    assert authority.signer("log", "verify", identity="ci").code == 4


def test_the_log_verifies_from_its_database(authority: Running, release: Release) -> None:
    database = authority.directory.state / "ledger.db"
    ran = authority.signer("log", "verify", "--database", database, SIGNER_URL="")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/v1/keys", "/v1/trust", "/checkpoint", "/tile/0/000"])
def test_the_public_listener_answers_without_a_certificate(authority: Running, path: str) -> None:
    context = ssl.create_default_context(cafile=str(authority.directory.ca / "ca.pem"))
    url = authority.environ["SIGNER_DEV_PUBLIC_URL"]
    if path.startswith("/tile"):
        size = int(urllib.request.urlopen(f"{url}/checkpoint", context=context).read().split(b"\n")[1])
        path = path if size >= 256 else f"{path}.p/{size}"
    with urllib.request.urlopen(url + path, context=context) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/v1/decisions", "/tile/entries/000", "/v1/signatures"])
def test_the_public_listener_shows_nothing_else(authority: Running, path: str) -> None:
    context = ssl.create_default_context(cafile=str(authority.directory.ca / "ca.pem"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(authority.environ["SIGNER_DEV_PUBLIC_URL"] + path, context=context)
    assert refused.value.code in (401, 403, 404, 405)
    refused.value.close()


def test_metrics_are_served(authority: Running, release: Release) -> None:
    with urllib.request.urlopen(authority.environ["SIGNER_DEV_METRICS_URL"]) as answer:
        text = answer.read().decode()
    assert "signer_up 1.0" in text
    assert 'signer_decisions_total{reason_class="none",verdict="allow"}' in text or "signer_decisions_total" in text


def test_doctor_finds_nothing_wrong(authority: Running) -> None:
    client = authority.signer("doctor", "-o", "json", SIGNER_CONFIG="")
    assert client.code == 0, client.out
    server = authority.signer("doctor", "--config", authority.directory.settings, "-o", "json")
    assert server.code == 0, server.out
    looked_at = {check["what"] for check in server.json["checks"]}
    assert {"guard", "database", "clock", "admin socket", "device signer", "pin of key release"} <= looked_at


def test_doctor_tells_what_is_wrong(authority: Running, tmp_path: Path) -> None:
    text = authority.directory.settings.read_text()
    config = tmp_path / "signer.toml"
    server = authority.directory.ca / "server" / "cert.pem"
    config.write_text(
        text.replace(str(server), str(authority.directory.identity("ci") / "cert.pem")).replace(
            str(authority.directory.token / "pin"), str(tmp_path / "pin")
        )
    )
    (tmp_path / "pin").write_text("0000")
    ran = authority.signer("doctor", "--config", config, "-o", "json")
    assert ran.code == 78
    failed = {check["what"]: check for check in ran.json["checks"] if not check["ok"]}
    assert {"server key", "server EKU", "PIN of signer file", "device signer"} <= failed.keys()
    assert all(check["remedy"] for check in failed.values())
