# SPDX-License-Identifier: Apache-2.0
"""From the release to production: held, looked at, rejected, approved by two people, signed; as anybody types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e.running import SIGNER, Ran, Running, running

APPROVERS = ("approver-1", "approver-2")


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An authority at which the good artifact was signed for release and staging, with a rollback plan."""
    folder = tmp_path_factory.mktemp("promotion")
    with running(folder / "dev") as started:
        assert started.sign().code == 0
        assert promote(started, "--environment", "staging").code == 0
        plan = folder / "plan.md"
        plan.write_text("return to the release before")
        digest = sha256(started.sample("artifact.txt").read_bytes()).hexdigest()
        added = started.signer(
            *("evidence", "add", plan, "--kind", "rollback-plan", "--policy", "demo"),
            *("--subject", f"artifact.txt@sha256:{digest}"),
        )
        assert added.code == 0, added.err
        yield started


def promote(authority: Running, *arguments: str | Path) -> Ran:
    """Ask for the good artifact; `--environment` in `arguments` counts, and evidence is what the ledger holds."""
    return authority.signer("sign", "--policy", "demo", "--subject-file", authority.sample("artifact.txt"), *arguments)


def hold(authority: Running) -> str:
    ran = promote(authority, "--environment", "production", "-o", "json")
    assert ran.code == 11, ran.err
    return str(ran.json["decision"]["request_id"])


def key(authority: Running, name: str) -> Path:
    return authority.directory.identity(name) / "approval.key"


def test_a_digest_reaches_production_only_with_two_people_and_a_no_stops_it(promoted: Running, tmp_path: Path) -> None:
    held = hold(promoted)
    assert hold(promoted) == held
    shown = promoted.signer("approve", held, identity="approver-1")
    assert (shown.code, shown.out) == (0, "")
    for line in (
        "APPROVAL ASKED  artifact.txt -> production",
        "+ yes      Is rollback defined",
        "https://slsa.dev/prov",
    ):
        assert line in shown.err
    # Whoever is nobody's approver is refused, and so is somebody else's key.
    assert promoted.signer("approve", held, "--recorded", identity="auditor").code == 4
    foreign = promoted.signer("approve", held, "--key", key(promoted, "approver-2"), identity="approver-1")
    assert (foreign.code, "[approval-unsigned]" in foreign.err) == (4, True)

    first = promoted.signer("approve", held, "--key", key(promoted, "approver-1"), "-o", "json", identity="approver-1")
    assert first.code == 0, first.err
    again = promoted.signer("approve", held, "--key", key(promoted, "approver-1"), identity="approver-1")
    assert (again.code, "[approval-recorded]" in again.err) == (2, True)
    no = ("reject", held, "--reason", "not on a Friday", "--key", key(promoted, "approver-2"), "-o", "json")
    rejected = promoted.signer(*no, identity="approver-2")
    assert rejected.code == 0, rejected.err
    denied = promote(promoted, "--environment", "production")
    assert denied.code == 10
    assert "not on a Friday" in denied.err

    # The certificate alone takes no signed rejection back.
    back = ("approval", "revoke", rejected.json["digest"], "--reason", "it is Monday")
    assert promoted.signer(*back, identity="approver-2").code == 4
    taken = promoted.signer(*back, "--key", key(promoted, "approver-2"), identity="approver-2")
    assert taken.code == 0, taken.err
    assert hold(promoted) == held
    listed = promoted.signer("approval", "list", "-o", "json", identity="approver-1").json["holds"]
    assert [(each["request_id"], each["state"]) for each in listed] == [(held, "waiting")]
    assert [(said["verb"], said["revoked"] is None) for said in listed[0]["approvals"]] == [
        ("approve", True),
        ("reject", False),
    ]

    # A pipeline that waits goes on as soon as the second person has approved.
    bundle, receipt = tmp_path / "bundle.json", tmp_path / "receipt.json"
    folder = promoted.directory.identity("ci")
    waiting = subprocess.Popen(
        [
            *(*SIGNER, "sign", "--policy", "demo", "--subject-file", str(promoted.sample("artifact.txt"))),
            *("--environment", "production", "--wait", "60s", "--bundle", str(bundle), "--receipt", str(receipt)),
        ],
        env={
            **promoted.environ,
            "PATH": "/usr/bin:/bin",
            "SIGNER_CLIENT_CERT": str(folder / "cert.pem"),
            "SIGNER_CLIENT_KEY": str(folder / "key.pem"),
        },
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    assert f"signer approve {held}" in waiting.stderr.readline()
    second = promoted.signer("approve", held, "--key", key(promoted, "approver-2"), identity="approver-2")
    assert second.code == 0, second.err
    _, told = waiting.communicate(timeout=60)
    assert (waiting.returncode, "SIGNED" in told) == (0, True), told

    verify = ("verify", "--allow-dev", "--trust", promoted.directory.trust, "--bundle", bundle, "--receipt", receipt)
    about = ("--subject-file", promoted.sample("artifact.txt"))
    verified = promoted.signer(*verify, *about, "--environment", "production", "-o", "json")
    assert verified.code == 0, verified.err
    assert "AUTHORITY_DEPLOYMENT_BETTER" in json.dumps(verified.json)
    assert promoted.signer(*verify, *about, "--environment", "release").code == 3, "production is no other environment"
    # What was approved is used up: the next request asks people again.
    assert hold(promoted) != held
    log = promoted.signer("log", "verify", identity="auditor")
    assert (log.code, "3 approval" in log.err + log.out) == (0, True), log.err
    # The policy in force says the same of its own decisions, approvals among their facts.
    replayed = promoted.signer("policy", "replay", "--policy", promoted.directory.policy, identity="auditor")
    assert replayed.code == 0, replayed.err


def test_the_wait_ends_without_approval_and_time_approves_nothing(promoted: Running) -> None:
    hold(promoted)
    assert promote(promoted, "--environment", "production", "--wait", "2s").code == 11
