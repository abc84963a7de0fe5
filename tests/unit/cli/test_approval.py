# SPDX-License-Identifier: Apache-2.0
"""`signer approve`, `reject` and `approval`: what is shown, what is signed, and what is asked of the authority."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policy.decision import Finding, Outcome, Verdict
from policy.questions import question_objects, recorded_answers
from policy.release import cited
from signer.cli.waiting import send
from signer.client.problem import Answered
from signer.formats.approval import ApprovalStatement, parse_approval, read_approval, read_revocation
from signer.formats.dsse import verify_envelope
from signer.formats.findings import finding_objects
from tests.approvals import KEYS
from tests.authority import ORIGIN, SUBJECT
from tests.unit.cli.conftest import FakeAuthority, Run, Signer, answered

HOLD = "5d41402abc4b2a76b9719d911017c592"
POLICY = "1b" * 32
FINDING = Finding(
    rule="TST-1",
    type="tests.passed",
    control="build",
    level="minimum",
    outcome=Outcome.PASS,
    title="tests passed",
    required="tests",
    found="128 passed",
    evidence=("9c" * 32,),
    bound="subject",
    remedy="",
    subjects=(0,),
)
WAITING = FINDING._replace(
    rule="APR-1",
    type="approval.human",
    control="deployment",
    outcome=Outcome.WAITING,
    title="waiting for \x1b[31mkim",
    evidence=(),
)
FINDINGS = (FINDING, WAITING)
ANSWERED, ANSWERS = recorded_answers(
    FINDINGS, policy_digest=POLICY, environment="production", subjects=((SUBJECT.name, SUBJECT.sha256),)
)
AGAINST = [each.id for each in ANSWERED if not each.good]


def sheet(**hold: Any) -> dict[str, Any]:
    """What GET /v1/holds answers."""
    return {
        "caller": "person:kim",
        "origin": ORIGIN,
        "hold": {
            "request_id": HOLD,
            "state": "waiting",
            "sha256": SUBJECT.sha256,
            "cited": cited(FINDINGS),
            "answers": ANSWERS,
            "approvals": [{"verb": "approve", "approver": "lee", "form": "signed", "reason": "", "revoked": None}],
            **hold,
        },
        "decision": {
            "subjects": [{"name": SUBJECT.name, "digest": {"sha256": SUBJECT.sha256}}],
            "policy": {"name": "demo", "version": 3, "digest": POLICY},
            "environment": "production",
            "verdict": Verdict.HOLD.value,
            "findings": finding_objects(FINDINGS),
            "questions": question_objects(ANSWERED),
        },
        "evidence": [{"digest": "9c" * 32, "kind": "tests\x1b", "by": "ci", "received": "2026-11-23T10:00:00Z"}],
        "compared": {
            "as": "deployed",
            "known": True,
            "sha256": "ab" * 32,
            "time": "2026-11-22T10:00:00Z",
            "differences": [{"what": "commit", "before": "51c0", "now": "77ab"}],
        },
    }


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name, key in KEYS.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.pem").write_bytes(pem)
    return tmp_path


def reasons(signer: Signer, authority: FakeAuthority, folder: Path, **changes: str) -> Path:
    """The template, filled in."""
    authority.answers.append(sheet())
    path = folder / "reasons.json"
    assert signer("approve", HOLD, "--template", path).code == 0
    value = json.loads(path.read_text())
    for each in value["questions"]:
        each["reason"] = changes.get(each["id"], "")
    path.write_text(json.dumps({**value, **{name: changes[name] for name in ("hold", "answers") if name in changes}}))
    return path


def said(authority: FakeAuthority, answer: Mapping[str, Any] | None = None) -> None:
    """Let the authority record whatever comes."""

    class Recorded(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            data = authority.asked[-1][1][0]
            signed = authority.asked[-1][2]["signed"]
            assert isinstance(data, bytes)
            made = read_approval(data)[1] if signed else parse_approval(data)
            return {"leaf": 12, "digest": made.digest, **(answer or {})}.get(name, default)

    authority.answers.append(Recorded())


def brought(authority: FakeAuthority) -> ApprovalStatement:
    name, (data,), options = authority.asked[-1]
    assert (name, options["signed"], isinstance(data, bytes)) == ("record_approval", True, True)
    envelope, statement = read_approval(data)  # type: ignore[arg-type]  # asserted above
    assert verify_envelope(envelope, {name: key.public_key() for name, key in KEYS.items()}) == {"kim"}
    return statement


def test_without_a_key_a_hold_is_shown_and_nothing_is_said(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [sheet()]
    ran = signer("approve", HOLD)
    assert ran.code == 0
    assert [name for name, _, _ in authority.asked] == ["hold"]
    assert f"sha256:{SUBJECT.sha256}" in ran.err, "the whole digest"
    for line in ("! unknown  Was it built from", "+ yes      Which digest", "approve by lee (signed)"):
        assert line in ran.err
    assert f"with sha256:{'ab' * 32}, which runs there now, deployed" in ran.err
    assert "commit          51c0 -> 77ab" in ran.err
    assert "\x1b" not in ran.err
    assert f"signer approve {HOLD} --key KEY --reasons FILE" in ran.err


def test_an_approval_names_everything_that_was_shown(signer: Signer, authority: FakeAuthority, keys: Path) -> None:
    path = reasons(signer, authority, keys, **dict.fromkeys(AGAINST, "looked at it"))
    authority.answers.append(sheet())
    said(authority)
    ran = signer("approve", HOLD, "--key", keys / "kim.pem", "--reasons", path, "-o", "json")
    assert ran.code == 0, ran.err
    statement = brought(authority)
    assert (statement.verb, statement.hold, statement.approver, statement.origin) == ("approve", HOLD, "kim", ORIGIN)
    assert (statement.subject, statement.environment, statement.policy_digest) == (SUBJECT, "production", POLICY)
    assert (statement.cited, statement.answers) == (cited(FINDINGS), ANSWERS)
    assert statement.answered == {each.id: each.answer for each in ANSWERED}
    assert statement.reasons == dict.fromkeys(AGAINST, "looked at it")
    assert (ran.document["leaf"], ran.document["digest"], ran.document["form"]) == (12, statement.digest, "signed")


def test_a_rejection_carries_its_reason(signer: Signer, authority: FakeAuthority, keys: Path) -> None:
    authority.answers = [sheet()]
    said(authority)
    ran = signer("reject", HOLD, "--key", keys / "kim.pem", "--reason", "not on a Friday")
    assert (ran.code, "REJECTED  by kim (signed): leaf 12" in ran.err) == (0, True), ran.err
    assert (brought(authority).verb, brought(authority).reason) == ("reject", "not on a Friday")
    assert signer("reject", HOLD, "--reason", "no").code == 2


def test_a_recorded_approval_says_that_it_is_one(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [sheet()]
    said(authority)
    ran = signer("approve", HOLD, "--recorded")
    assert (ran.code, "APPROVED  by kim (recorded)" in ran.err) == (0, True)
    assert authority.asked[-1][2] == {"signed": False}


def test_reasons_written_for_another_hold_are_refused(signer: Signer, authority: FakeAuthority, keys: Path) -> None:
    for changed in ({"hold": "ab" * 16}, {"answers": "00" * 32}):
        path = reasons(signer, authority, keys, **changed)
        authority.answers.append(sheet())
        ran = signer("approve", HOLD, "--key", keys / "kim.pem", "--reasons", path)
        assert (ran.code, "[malformed-approval]" in ran.err) == (2, True)


def ended(ran: Run, code: int, slug: str) -> bool:
    return ran.code == code and f"[{slug}]" in ran.err


def test_answers_that_do_not_follow_from_what_is_shown_are_not_signed(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    for changed in ({"answers": "00" * 32}, {"cited": "00" * 32}, {"sha256": "00" * 32}):
        authority.answers = [sheet(**changed)]
        assert ended(signer("approve", HOLD, "--key", keys / "kim.pem"), 4, "hold-superseded")
    authority.answers = [{"hold": {}}]
    assert ended(signer("approve", HOLD, "--key", keys / "kim.pem"), 20, "answer-malformed")
    assert [name for name, _, _ in authority.asked] == ["hold"] * 4


def test_a_robot_names_the_person_who_signs(signer: Signer, authority: FakeAuthority, keys: Path) -> None:
    authority.answers = [{**sheet(), "caller": "robot:bridge"}] * 2
    command = ("reject", HOLD, "--key", keys / "kim.pem", "--reason", "no")
    assert signer(*command).code == 2
    said(authority)
    assert signer(*command, "--approver", "kim").code == 0


def test_a_refusal_and_an_answer_about_another_approval_are_no_success(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    command = ("reject", HOLD, "--key", keys / "kim.pem", "--reason", "no")
    for code, status, expected in (("approver-not-eligible", 403, 4), ("hold-superseded", 409, 2)):
        authority.answers = [sheet(), answered(status, code)]
        assert ended(signer(*command), expected, code)
    authority.answers = [sheet()]
    said(authority, {"digest": "00" * 32})
    assert signer(*command).code == 20


def test_the_list_shows_each_hold_with_what_was_said(signer: Signer, authority: FakeAuthority) -> None:
    hold = {
        "request_id": HOLD,
        "state": "rejected",
        "sha256": SUBJECT.sha256,
        "environment": "production",
        "policy": {"name": "demo"},
        "time": "2026-11-23T10:00:00Z",
        "approvals": [
            {
                "verb": "reject",
                "approver": "kim\x1b",
                "form": "signed",
                "digest": "ab" * 32,
                "reason": "no",
                "revoked": None,
            }
        ],
    }
    authority.answers = [{"holds": [hold, "nonsense"]}]
    ran = signer("approval", "list", "--digest", f"sha256:{SUBJECT.sha256}", "--environment", "production", "--all")
    first, second = ran.out.splitlines()
    assert first.startswith(f"rejected    {HOLD}  sha256:{SUBJECT.sha256}  demo -> production")
    assert second.strip().startswith("reject by kim")
    assert "\x1b" not in ran.out
    assert authority.asked[0][1] == ({"digest": SUBJECT.sha256, "environment": "production", "all": "true"},)


def test_an_approval_is_taken_back_with_or_without_a_signature(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    authority.answers = [{"leaf": 13}]
    ran = signer("approval", "revoke", f"sha256:{'ab' * 32}", "--reason", "a mistake")
    assert (ran.code, "leaf 13" in ran.err) == (0, True)
    assert authority.asked == [("revoke_approval", ("ab" * 32,), {"reason": "a mistake", "revocation": None})]
    listed = {"holds": [{"request_id": HOLD, "approvals": [{"digest": "ab" * 32, "approver": "kim"}]}]}
    authority.answers = [listed, {"origin": ORIGIN}, {"leaf": 14}]
    command = ("approval", "revoke", "ab" * 32, "--reason", "a mistake", "--key", keys / "kim.pem")
    assert signer(*command).code == 0
    data = authority.asked[-1][2]["revocation"]
    assert isinstance(data, bytes)
    _, statement = read_revocation(data)
    assert (statement.approval, statement.approver, statement.origin) == ("ab" * 32, "kim", ORIGIN)
    authority.answers = [{"holds": []}]
    assert ended(signer(*command), 2, "not-found")


class Patient:
    """An authority that signs after some time, with the clock of the one who waits."""

    def __init__(self, *, after: float, problem: Answered) -> None:
        self.now, self.after, self.problem = 0.0, after, problem
        self.keys: list[str] = []

    def sign(self, request: bytes, *, idempotency_key: str) -> bytes:
        self.keys.append(idempotency_key)
        if self.now < self.after:
            raise self.problem
        return request

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, *, wait: timedelta) -> bytes:
        return send(self, b"r", idempotency_key="k", wait=wait, clock=lambda: self.now, sleep=self.sleep)


def test_waiting_sends_the_same_under_the_same_key_until_people_have_approved() -> None:
    patient = Patient(after=60, problem=answered(202, "waiting-for-approval"))
    assert patient.ask(wait=timedelta(minutes=5)) == b"r"
    assert set(patient.keys) == {"k"}
    assert 60 <= patient.now < 76


def test_time_approves_nothing_and_no_other_answer_is_waited_for() -> None:
    late = Patient(after=1000, problem=answered(202, "waiting-for-approval"))
    with pytest.raises(Answered):
        late.ask(wait=timedelta(minutes=5))
    assert late.now <= 300
    frozen = Patient(after=10, problem=answered(423, "frozen"))
    with pytest.raises(Answered):
        frozen.ask(wait=timedelta(minutes=5))
    assert (frozen.now, len(frozen.keys)) == (0, 1)
