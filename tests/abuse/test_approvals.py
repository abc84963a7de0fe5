# SPDX-License-Identifier: Apache-2.0
"""Approvals under attack: forged, replayed, stale, by the wrong people, without looking."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signer.cli.hold_sheet import Sheet, read_sheet
from signer.domain.subject import Subject
from signer.formats.approval import ApprovalStatement, sign_approval
from signer.formats.canonical import canonical
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import Decision
from tests.abuse.stack import Answer, Release, Stack
from tests.approvals import KEYS

LOGIN = "login:https://github.com#4711"
"""The developer once more, as a platform names them: the review record names an e-mail address."""
STAGED: dict[str, Any] = {"policy": "staged", "environment": "production"}


def promoted(stack: Stack, **changed: bytes | None) -> tuple[Release, list[bytes]]:
    """A release of its own, built by the developer, and its evidence."""
    release = stack.release()
    return release, release.evidence(**{"provenance": release.provenance(triggered_by=LOGIN), **changed})


def hold(stack: Stack, release: Release, evidence: list[bytes], **options: Any) -> str:
    answer = stack.ask(release, evidence, **STAGED, **options)
    assert answer.said == (202, "waiting-for-approval"), answer.body
    return str(answer.json["decision"]["request_id"])


def sheet(stack: Stack, held: str, *, by: str = "kim") -> Sheet:
    return read_sheet(stack.request("GET", f"/v1/holds/{held}", by=by).json)


def statement(shown: Sheet, by: str, **changes: Any) -> ApprovalStatement:
    made = ApprovalStatement(
        verb="approve",
        origin=shown.origin,
        hold=shown.hold,
        subject=shown.subject,
        environment=shown.environment,
        policy=shown.policy,
        policy_digest=shown.policy_digest,
        cited=shown.cited,
        answers=shown.answers,
        answered={each.id: each.answer for each in shown.answered},
        reasons={each.id: "the last release stands by" for each in shown.against},
        reason="",
        approver=by,
        at=datetime.now(UTC),
    )
    return replace(made, **changes)


def bring(stack: Stack, said: ApprovalStatement, *, by: str = "", key: str = "") -> Answer:
    envelope = sign_approval(said, KEYS[key or said.approver])
    document = {"approval": base64.b64encode(envelope).decode()}
    return stack.post("/v1/approvals", document, by=by or said.approver)


def approve(stack: Stack, held: str, *people: str) -> list[str]:
    digests = []
    for name in people:
        answer = bring(stack, statement(sheet(stack, held), name))
        assert answer.status == 201, answer.body
        digests.append(answer.json["digest"])
    return digests


def approval_leaves(stack: Stack) -> int:
    return sum(isinstance(leaf, ApprovalLeaf) for leaf in stack.leaves())


SWAPPED: Mapping[str, Callable[[Sheet], dict[str, Any]]] = {
    "digest": lambda one: {"subject": Subject.of(one.subject.name, {"sha256": "5a" * 32})},
    "name": lambda one: {"subject": Subject.of("registry.example/other", {"sha256": one.subject.sha256})},
    "environment": lambda _one: {"environment": "release"},
    "policy": lambda _one: {"policy": "demo"},
    "version of the policy": lambda _one: {"policy_digest": "5a" * 32},
    "evidence": lambda _one: {"cited": "5a" * 32},
    "answers": lambda _one: {"answers": "5a" * 32},
}


@pytest.mark.parametrize("what", SWAPPED)
def test_A01_an_approval_of_something_else_is_refused(stack: Stack, what: str) -> None:
    held = hold(stack, *promoted(stack))
    shown, before = sheet(stack, held), approval_leaves(stack)
    answer = bring(stack, statement(shown, "kim", **SWAPPED[what](shown)))
    assert answer.said == (409, "approval-mismatch")
    assert approval_leaves(stack) == before


def test_A01_an_approval_of_one_digest_counts_for_no_other(stack: Stack) -> None:
    one, other = promoted(stack), promoted(stack)
    first, second = hold(stack, *one), hold(stack, *other)
    approve(stack, first, "lee", "omar")
    # The very bytes, brought as if they were about the other hold.
    moved = bring(stack, statement(sheet(stack, first), "kim", hold=second))
    assert moved.said == (409, "approval-mismatch")
    assert hold(stack, *other) == second
    assert stack.ask(*one, **STAGED).status == 200


def test_A02_nobody_approves_their_own_change_under_any_of_their_names(stack: Stack) -> None:
    # An e-mail address in the review record, a login in the provenance, a SAN in the certificate: one human.
    held = hold(stack, *promoted(stack))
    assert bring(stack, statement(sheet(stack, held), "developer")).said == (403, "approver-not-eligible")
    release, evidence = promoted(stack, provenance=None)
    triggered = [*evidence, release.provenance(triggered_by="email:Developer@DEV.invalid")]
    again = hold(stack, release, triggered)
    assert bring(stack, statement(sheet(stack, again), "developer")).said == (403, "approver-not-eligible")
    # Whoever asks for the release is not let in either, by whatever name the evidence speaks of others.
    release, evidence = promoted(stack, provenance=None, review=None)
    others = [
        release.provenance(triggered_by="email:maintainer@dev.invalid"),
        release.review(authors=["email:maintainer@dev.invalid"]),
    ]
    asked = hold(stack, release, [*evidence, *others], by="developer")
    assert bring(stack, statement(sheet(stack, asked), "developer")).said == (403, "approver-not-eligible")


def test_A02_one_person_fills_one_place_and_a_stranger_none(stack: Stack) -> None:
    release, evidence = promoted(stack)
    held = hold(stack, release, evidence)
    approve(stack, held, "kim")
    assert hold(stack, release, evidence) == held
    assert bring(stack, statement(sheet(stack, held), "kim", reason="again")).said == (409, "approval-recorded")
    assert bring(stack, statement(sheet(stack, held), "guest")).said == (403, "approver-not-eligible")
    # A second account: another's name over one's own key.
    assert bring(stack, statement(sheet(stack, held), "omar"), by="kim", key="kim").said == (403, "approval-unsigned")
    assert bring(stack, statement(sheet(stack, held), "mallory"), by="kim").said == (403, "approval-unsigned")


def test_A03_an_approval_counts_once_and_late_ones_are_refused(stack: Stack) -> None:
    release, evidence = promoted(stack)
    held = hold(stack, release, evidence)
    shown = sheet(stack, held)
    said = statement(shown, "lee")
    assert bring(stack, said).status == 201
    assert bring(stack, said).said == (409, "approval-recorded")
    for off in (timedelta(hours=-1), timedelta(hours=1)):
        assert bring(stack, statement(shown, "omar", at=datetime.now(UTC) + off)).said == (409, "approval-stale")
    approve(stack, held, "omar")
    assert stack.ask(release, evidence, **STAGED).status == 200
    # Used up: the same again waits for people again, and what was said of the old hold is over.
    assert hold(stack, release, evidence) != held
    assert bring(stack, statement(shown, "kim")).said == (409, "hold-superseded")


def test_A03_two_hundred_promotions_at_once_use_an_approval_once(stack: Stack) -> None:
    release, evidence = promoted(stack)
    held = hold(stack, release, evidence)
    approve(stack, held, "lee", "omar")
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: stack.ask(release, [], **STAGED, may_fail=True), range(200)))
    assert sum(answer.status == 200 for answer in answers) == 1
    assert {answer.status for answer in answers} <= {200, 202, 503}
    allowed = [
        leaf
        for leaf in stack.leaves()
        if isinstance(leaf, Decision) and leaf.verdict == "allow" and leaf.first == release.subject.sha256
    ]
    assert len(allowed) == 1


def test_A03_no_release_follows_the_leaf_that_takes_an_approval_back(stack: Stack) -> None:
    outcomes = set()
    for number in range(12):
        release, evidence = promoted(stack)
        held = hold(stack, release, evidence)
        digest = approve(stack, held, "lee", "omar")[number % 2]
        by = ("lee", "omar")[number % 2]
        path = f"/v1/approvals/{digest}/revoke"
        with ThreadPoolExecutor(2) as threads:
            taken = threads.submit(stack.post, path, {"reason": "a mistake"}, by=by)
            asked = threads.submit(stack.ask, release, [], **STAGED)
        after = [
            type(leaf)
            for leaf in stack.leaves()
            if (isinstance(leaf, Decision) and leaf.verdict == "allow" and leaf.first == release.subject.sha256)
            or (isinstance(leaf, ApprovalRevocationLeaf) and leaf.approval == digest)
        ]
        told = (taken.result().status, asked.result().status)
        outcomes.add(told)
        # Either it was taken back, and nothing was allowed; or it was allowed, and cannot be taken back.
        assert (told, after) in (((200, 202), [ApprovalRevocationLeaf]), ((409, 200), [Decision])), told


def test_A04_evidence_that_decides_voids_approvals_and_junk_voids_none(stack: Stack) -> None:
    release, evidence = promoted(stack)
    held = hold(stack, release, evidence)
    approve(stack, held, "lee")
    # An inventory by somebody who is trusted for scans only.
    assert hold(stack, release, [release.sbom(by="scanner")]) == held
    # A newer scan counts: everybody has to look again.
    newer = release.scan(finished=datetime.now(UTC))
    again = hold(stack, release, [newer])
    assert again != held
    assert bring(stack, statement(sheet(stack, held), "omar")).said == (409, "hold-superseded")
    approve(stack, again, "omar")
    assert hold(stack, release, []) == again, "the approval of the old evidence has lapsed"
    approve(stack, again, "lee")
    assert stack.ask(release, [], **STAGED).status == 200


def test_A05_nothing_is_said_by_a_link_a_form_or_from_another_page(stack: Stack) -> None:
    held = hold(stack, *promoted(stack))
    said = statement(sheet(stack, held), "kim")
    envelope = sign_approval(said, KEYS["kim"])
    before = approval_leaves(stack)
    for path in (f"/v1/approvals?hold={held}&verb=approve", f"/v1/holds/{held}?approve=true"):
        assert stack.request("GET", path, by="kim").status in (200, 400)
    assert stack.request("GET", f"/v1/approvals/{said.digest}/revoke", by="kim").said == (405, "method-not-allowed")
    form = f"approval={base64.b64encode(envelope).decode()}".encode()
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        answer = stack.request("POST", "/v1/approvals", form, by="kim", headers={"Content-Type": kind})
        assert answer.said == (415, "unsupported-media-type")
    assert approval_leaves(stack) == before


def test_A06_a_stolen_certificate_signs_for_nobody(stack: Stack) -> None:
    # There are no sessions. Whoever holds kim's certificate and no approval key says nothing in another's name, and
    # what they say in kim's own is recorded, not signed.
    held = hold(stack, *promoted(stack))
    shown = sheet(stack, held)
    bare = {"statement": base64.b64encode(statement(shown, "omar").payload()).decode()}
    assert stack.post("/v1/approvals", bare, by="kim").said == (403, "approval-unsigned")
    own = {"statement": base64.b64encode(statement(shown, "kim").payload()).decode()}
    assert stack.post("/v1/approvals", own, by="kim").status == 201
    (listed,) = stack.request("GET", f"/v1/approvals?hold={held}", by="kim").json["holds"]
    assert [said["form"] for said in listed["approvals"]] == ["recorded"]


def test_A07_answers_are_not_left_blank_nor_filled_in_by_the_approver(stack: Stack) -> None:
    held = hold(stack, *promoted(stack))
    shown = sheet(stack, held)
    assert shown.against, "an answer speaks against this release"
    good = {each.id: each.answer for each in shown.answered}
    for answered in (dict.fromkeys(good, "yes"), {"digest": "yes"}):
        said = statement(shown, "kim", answered=answered, reasons={})
        assert bring(stack, said).said == (409, "approval-mismatch")
    assert bring(stack, statement(shown, "kim", reasons={})).said == (422, "reason-missing")
    value = json.loads(statement(shown, "kim").payload())
    conditions = value["predicate"]["attributes"][0]["conditions"]
    conditions["reasons"] = dict.fromkeys(conditions["reasons"], " ")
    blank = {"statement": base64.b64encode(canonical(value)).decode()}
    assert stack.post("/v1/approvals", blank, by="kim").said == (400, "malformed-approval")


def test_A07_a_script_approves_no_faster_than_its_quota(stack: Stack) -> None:
    held = hold(stack, *promoted(stack))
    said = statement(sheet(stack, held), "guest")
    answers = [bring(stack, said).said for _ in range(50)]
    assert answers.count((429, "over-quota")) >= 28
    assert set(answers) <= {(403, "approver-not-eligible"), (429, "over-quota")}


@pytest.mark.parametrize("text", ["ok \u202e dlrow", "o\u200bk", "two\nlines", "\x1b[2J", "\ufeffok"], ids=ascii)
def test_A08_text_that_shows_as_other_text_is_no_reason(stack: Stack, text: str) -> None:
    held = hold(stack, *promoted(stack))
    value = json.loads(statement(sheet(stack, held), "kim").payload())
    value["predicate"]["attributes"][0]["conditions"]["reason"] = text
    forged = {"statement": base64.b64encode(canonical(value)).decode()}
    assert stack.post("/v1/approvals", forged, by="kim").said == (400, "malformed-approval")


def test_A08_the_whole_digest_is_shown_and_a_name_cannot_pretend(stack: Stack) -> None:
    release, evidence = promoted(stack)
    held = hold(stack, release, evidence)
    answer = stack.request("GET", f"/v1/holds/{held}", by="kim")
    assert answer.json["decision"]["subjects"][0]["digest"]["sha256"] == release.subject.sha256
    for name in ("shop\u202e", "sh\u043ep", "shop <b>", "a b"):
        document = {
            **STAGED,
            "subjects": [{"name": name, "digest": {"sha256": release.subject.sha256}}],
            "evidence": [],
        }
        assert stack.post("/v1/signatures", document).status == 400
