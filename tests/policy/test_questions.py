# SPDX-License-Identifier: Apache-2.0
"""The six questions before a promotion: yes, no or unknown, and unknown is never good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Outcome
from policy.facts import Item
from policy.questions import GOOD, QUESTIONS, Answered, answers, digest_of, recorded_answers
from tests.policy.factory import built, ran, reviewed, scanned, vulnerability
from tests.policy.promotion import BREAK_GLASS, HUMAN, ROLLBACK, asked, held, ledger, plan, production, promoted


def answered(*items: Item, rules: tuple[dict[str, Any], ...] = (ROLLBACK, HUMAN)) -> dict[str, Answered]:
    return {each.id: each for each in answers(held(production(*rules), asked(*items)))}


def instead(item: Item) -> tuple[Item, ...]:
    return tuple(item if type(each) is type(item) else each for each in promoted())


def without(kind: type[Item]) -> tuple[Item, ...]:
    return tuple(each for each in promoted() if not isinstance(each, kind))


def test_a_release_that_lacks_only_approvals_is_answered_well() -> None:
    found = answered()
    assert list(found) == list(QUESTIONS)
    assert {name: each.answer for name, each in found.items()} == GOOD
    assert all(each.good for each in found.values())


CASES: dict[str, tuple[tuple[Item, ...], str, str]] = {
    "a change that was not reviewed": (instead(reviewed(levels=("SLSA_SOURCE_LEVEL_1",))), "source", "no"),
    "no word of the change": (without(type(reviewed())), "source", "unknown"),
    "a review of another commit": (instead(reviewed(commit="f" * 40)), "source", "unknown"),
    "another builder": (instead(built(builder=None, builder_id="https://x.invalid")), "pipeline", "no"),
    "no provenance": (without(type(built())), "pipeline", "unknown"),
    "tests that failed": (instead(ran(result="FAILED", failed=1)), "tests", "no"),
    "no tests": (without(type(ran())), "tests", "unknown"),
    "a scan of another digest": (instead(scanned(covers=(), bound="none")), "tests", "unknown"),
    "a critical vulnerability": (
        instead(scanned(vulnerabilities=(vulnerability("critical"),))),
        "findings",
        "yes",
    ),
    "no scan": (without(type(scanned())), "findings", "unknown"),
    "no rollback plan": (without(type(plan())), "rollback", "unknown"),
}


@pytest.mark.parametrize(("items", "question", "answer"), CASES.values(), ids=CASES)
def test_a_question_is_answered(items: tuple[Item, ...], question: str, answer: str) -> None:
    found = answered(*items)[question]
    assert found.answer == answer
    assert not found.good


@pytest.mark.parametrize("question", ["source", "pipeline", "tests", "findings", "rollback"])
def test_what_no_rule_asks_is_unknown(question: str) -> None:
    release = held(production(ROLLBACK), asked())
    nothing = replace(release, findings=tuple(each for each in release.findings if each.type == "sbom.present"))
    found = {each.id: each for each in answers(nothing)}[question]
    assert (found.answer, found.good) == ("unknown", False)
    assert "no rule asks" in found.why or "not both" in found.why


def test_several_digests_are_no_digest() -> None:
    release = held(production(ROLLBACK), asked(subjects=2))
    assert answers(release)[0].answer == "unknown"


def test_a_waived_finding_is_an_exception_and_no_clean_answer() -> None:
    release = held(production(ROLLBACK), asked())
    waived = tuple(each._replace(outcome=Outcome.WAIVED) if each.rule == "VUL-1" else each for each in release.findings)
    found = {each.id: each.answer for each in answers(replace(release, findings=waived))}
    assert (found["findings"], found["tests"]) == ("yes", "no")


def test_a_rule_in_shadow_answers_nothing() -> None:
    release = held(production(ROLLBACK), asked())
    shadowed = tuple(
        each._replace(outcome=Outcome.SHADOW) if each.rule == "RBK-1" else each for each in release.findings
    )
    assert {each.id: each.answer for each in answers(replace(release, findings=shadowed))}["rollback"] == "unknown"


def test_what_happens_to_other_releases_changes_no_answer() -> None:
    policy = production(ROLLBACK, BREAK_GLASS)
    fine, unsaid = held(policy, asked()), held(policy, asked(known=ledger(break_glass=None)))
    assert digest_of(answers(fine), fine) == digest_of(answers(unsaid), unsaid)


def test_the_digest_binds_digest_environment_policy_evidence_and_answers() -> None:
    release = held(production(ROLLBACK), asked())
    known = answers(release)
    (subject,) = release.subjects
    others = (
        replace(release, environment="staging"),
        replace(release, subjects=(replace(subject, sha256="e" * 64),)),
        replace(release, ledger=replace(release.ledger, policy_digest="e" * 64)),
        replace(release, findings=tuple(each for each in release.findings if each.rule != "VUL-1")),
    )
    turned = tuple(replace(each, answer="unknown") for each in known)
    found = [digest_of(known, release), digest_of(turned, release), *(digest_of(known, other) for other in others)]
    assert len(set(found)) == len(found)


def test_a_recorded_decision_is_answered_like_the_release_itself() -> None:
    release = held(production(ROLLBACK), asked())
    known = answers(release)
    recorded, digest = recorded_answers(
        reversed(release.findings),
        policy_digest=release.ledger.policy_digest,
        environment=release.environment,
        subjects=[(subject.name, subject.sha256) for subject in release.subjects],
    )
    assert {each.id: each.answer for each in recorded} == {each.id: each.answer for each in known}
    assert digest == digest_of(known, release)
