# SPDX-License-Identifier: Apache-2.0
"""F1 to F8, one that finds and one that does not, each on a recorded release; and where a digest stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy.document import parse_policy
from policy.questions import GOOD
from signer.custodian.commands import Done, KeepEvidence
from signer.custodian.release_commands import GateReport
from signer.dev.attestations import attest, scan_statement
from signer.domain.subject import Subject
from signer.evidence.verifier import TrustedKeys, VerifiedAttestation, verify_item
from signer.formats.rfc3339 import format_time
from signer.releases.findings import find
from signer.releases.view import release_view
from tests.authority import SUBJECT, demo_policy, item_of
from tests.unit.custodian.world import NOW
from tests.unit.pack.world import Release

GATE = GateReport(verifier="signer 0.1.0", result="passed", reason="", receipt="ab" * 32, time=format_time(NOW))
FREEZE = b"""
  - {id: RBK-1, type: deployment.rollback, control: deployment, level: minimum}
environments:"""
Story = Callable[[Release], object]


def signed(release: Release) -> None:
    release.signed()


def gated(**changes: Any) -> Story:
    def story(release: Release) -> None:
        release.signed()
        release.deploy(gate=replaced(GATE, **changes))

    return story


def replaced(gate: GateReport, **changes: Any) -> GateReport:
    values = {name: getattr(gate, name) for name in gate.__struct_fields__}
    return GateReport(**(values | changes))


def by_tag(release: Release) -> None:
    release.signed()
    release.deploy(sha256="", reference="shop.tar:1.2", gate=GATE)


def approved_by_tag(release: Release) -> None:
    release.signed()
    release.approval_record()


def approved_by_digest(release: Release) -> None:
    release.signed()
    release.approval_record(digest=f"sha256:{SUBJECT.sha256}", reference=f"shop.tar@sha256:{SUBJECT.sha256}")


def ungated(release: Release) -> None:
    release.signed()
    release.deploy(gate=None)


def scan_of(release: Release, subject: Subject) -> None:
    """Keep a scan by itself."""
    finished = NOW - timedelta(minutes=5)
    data = attest(scan_statement((subject,), finished=finished), release.signers["scanner"])
    active = release.ledger.active_all("policy")[0].data

    item = verify_item(data, TrustedKeys.of_trust(parse_policy(active).trust))
    assert isinstance(item, VerifiedAttestation)
    command = KeepEvidence(request_id="ab" * 16, principal="robot:reader", policy="demo", items=(item_of(data, item),))
    assert type(release.ask(command)).__name__ == "Kept"


def scanned_elsewhere(release: Release) -> None:
    scan_of(release, Subject.of(f"{SUBJECT.name}:1.1", {"sha256": "ab" * 32}))
    evidence = release.evidence()
    release.ask(release.decide(evidence=[*evidence[:3], *evidence[4:]]))


def scanned_both(release: Release) -> None:
    scan_of(release, Subject.of(f"{SUBJECT.name}:1.1", {"sha256": "ab" * 32}))
    release.signed()


def claims(approval: str) -> Story:
    def story(release: Release) -> None:
        release.signed()
        release.deploy(gate=GATE, approval=approval)

    return story


def not_allowed(release: Release) -> None:
    release.signed()
    release.deploy(gate=GATE, environment="production")


def taken_back(release: Release) -> None:
    release.signed()
    release.revoke()
    release.deploy(gate=GATE)


def never_seen(release: Release) -> None:
    release.deploy(gate=GATE)
    release.signed()


def broad(access: bool, *, guarded: bool) -> Story:
    def story(release: Release) -> None:
        policy = demo_policy(release.signers, version=2)
        if access:
            assert b"broadAccess: false" in policy
            policy = policy.replace(b"broadAccess: false", b"broadAccess: true")
        if guarded:
            policy = policy.replace(b"\nenvironments:", FREEZE, 1)
            release.keep("rollback-plan", b"back to the last one\n")
        assert isinstance(release.ask(release.activation("policy", 2, policy)), Done)
        release.signed()

    return story


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param(signed, set(), id="signed and nothing else"),
        pytest.param(gated(), set(), id="through its gate"),
        pytest.param(by_tag, {"F1"}, id="F1 deployed by tag"),
        pytest.param(approved_by_tag, {"F1"}, id="F1 approved by tag"),
        pytest.param(approved_by_digest, set(), id="not F1: approved by digest"),
        pytest.param(ungated, {"F2"}, id="F2 no gate"),
        pytest.param(gated(result="failed", reason="key-revoked"), {"F2"}, id="F2 past a gate that failed"),
        pytest.param(gated(time=format_time(NOW - timedelta(hours=2))), {"F2"}, id="F2 a stale gate"),
        pytest.param(gated(time=format_time(NOW + timedelta(hours=2))), {"F2"}, id="F2 a gate afterwards"),
        pytest.param(gated(time=format_time(NOW - timedelta(minutes=30))), set(), id="not F2: a recent gate"),
        pytest.param(scanned_elsewhere, {"F3"}, id="F3 only another digest was scanned"),
        pytest.param(scanned_both, set(), id="not F3: this digest was scanned too"),
        pytest.param(claims("CHG-17, by chat"), {"F4"}, id="F4 an approval by chat"),
        pytest.param(claims(""), set(), id="not F4: no approval claimed"),
        pytest.param(not_allowed, {"F5"}, id="F5 another environment"),
        pytest.param(taken_back, {"F5"}, id="F5 after it was taken back"),
        pytest.param(never_seen, {"F5", "F6"}, id="F6 deployed before any evidence"),
        pytest.param(broad(access=True, guarded=True), {"F8"}, id="F8 broad access"),
        pytest.param(broad(access=False, guarded=True), set(), id="not F8: narrow access"),
        pytest.param(broad(access=True, guarded=False), set(), id="not F8: nothing guards the environment"),
    ],
)
def test_what_an_auditor_would_find_is_found(story: Story, expected: set[str], tmp_path: Path) -> None:
    release = Release()
    story(release)
    found = find(release.contents(tmp_path, prove=False))
    assert {each.id for each in found if each.status == "found"} == expected
    # Nobody counts the device's calls: that is never clean.
    assert {each.id for each in found if each.status == "unknown"} == {"F7"}
    for each in found:
        assert each.remedy
        assert each.leaves or each.status == "unknown"


def test_a_release_stands_where_its_newest_decisions_put_it(tmp_path: Path) -> None:
    release = Release()
    release.deny()
    release.signed()
    release.deploy(gate=GATE)
    view = release_view(release.contents(tmp_path, prove=False))
    (environment,) = view["environments"]
    assert (environment["environment"], environment["status"]) == ("release", "signed")
    assert environment["levels"]["build"] == "better"
    assert environment["needs"]["build"].startswith("strong: ")
    assert [question["id"] for question in environment["questions"]] == list(GOOD)
    assert [each["what"] for each in view["timeline"]] == ["decision", "decision", "outcome", "deployment"]
    (event,) = view["deployments"]
    assert event["customData"]["gate"]["result"] == "passed"
    assert view["revocations"] == []
    assert len(view["evidence"]) == 6
    release.revoke()
    (tmp_path / "later").mkdir()
    later = release_view(release.contents(tmp_path / "later", prove=False))
    assert [each["reason"] for each in later["revocations"]] == ["backdoor"]
