# SPDX-License-Identifier: Apache-2.0
"""What holds for any evidence: nothing is gained by leaving evidence out, by order or by company (I3, I5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings, strategies as st

from policy.decision import Decision, Finding, Outcome, Verdict
from policy.engine import evaluate
from policy.facts import (
    Document,
    EvidenceFacts,
    Facts,
    Item,
    ReviewRecord,
    Sbom,
    SourceSummary,
    TestResult,
    Vex,
    VulnerabilityScan,
)
from policy.levels import matrix, verified_levels
from tests.policy.factory import NOW, facts
from tests.policy.releases import POLICIES, SUBJECTS, items, policies, releases


def decide(position: int, release: tuple[Item, ...]) -> Decision:
    return evaluate(POLICIES[position], facts(*release, subjects=SUBJECTS), now=NOW)


def of_subject(decision: Decision, subject: int) -> list[Finding]:
    """The findings about one subject, whoever shares them."""
    return [finding._replace(subjects=()) for finding in decision.findings if subject in finding.subjects]


@given(policies, releases)
@settings(max_examples=200)
def test_an_allow_rests_on_counted_evidence_for_every_rule_and_subject(
    position: int, release: tuple[Item, ...]
) -> None:
    decision = decide(position, release)
    if decision.verdict is not Verdict.ALLOW:
        return
    offered = {item.origin.digest: item for item in release}
    for rule in POLICIES[position].rules:
        findings = decision.of(rule.id)
        assert sorted(subject for finding in findings for subject in finding.subjects) == list(range(SUBJECTS))
        for finding in findings:
            assert finding.outcome is Outcome.PASS
            assert finding.evidence
            for digest in finding.evidence:
                origin = offered[digest].origin
                assert origin.attested or isinstance(offered[digest], Document)
                assert origin.bound in ("subject", "source")
                assert set(finding.subjects) <= set(origin.covers)


@given(policies, releases, st.data())
@settings(max_examples=200)
def test_removing_an_item_that_no_failing_finding_names_never_turns_deny_into_allow(
    position: int, release: tuple[Item, ...], data: st.DataObject
) -> None:
    before = decide(position, release)
    if not release or before.verdict is Verdict.ALLOW:
        return
    refusing = {
        digest for finding in before.findings if finding.outcome is not Outcome.PASS for digest in finding.evidence
    }
    removed = data.draw(st.sampled_from(release))
    after = decide(position, tuple(item for item in release if item is not removed))
    # Only the latest of a kind, a scan that ended a grace, or a record that speaks against the change can stand in the
    # way, and then a finding names it.
    if (
        isinstance(removed, VulnerabilityScan | TestResult | Vex | Sbom | ReviewRecord)
        and removed.origin.digest in refusing
    ):
        return
    assert after.verdict is Verdict.DENY


@given(policies, releases)
@settings(max_examples=200)
def test_removing_what_a_passing_rule_counted_never_keeps_its_pass_for_nothing(
    position: int, release: tuple[Item, ...]
) -> None:
    before = decide(position, release)
    for finding in before.counting(Outcome.PASS):
        left = tuple(item for item in release if item.origin.digest not in finding.evidence)
        for again in decide(position, left).of(finding.rule):
            if again.outcome is Outcome.PASS:
                assert again.evidence
                assert not set(again.evidence) & set(finding.evidence)


@given(policies, releases)
@settings(max_examples=100)
def test_removing_all_evidence_of_a_passing_rule_denies(position: int, release: tuple[Item, ...]) -> None:
    for kind in {type(item) for item in release}:
        before = decide(position, release)
        counted = {digest for finding in before.counting(Outcome.PASS) for digest in finding.evidence}
        if any(type(item) is kind and item.origin.digest in counted for item in release):
            after = decide(position, tuple(item for item in release if type(item) is not kind))
            assert after.verdict is Verdict.DENY


@given(policies, releases, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_the_evidence_does_not_matter(position: int, release: tuple[Item, ...], random: Any) -> None:
    shuffled = list(release)
    random.shuffle(shuffled)
    assert decide(position, tuple(shuffled)) == decide(position, release)


@given(policies, releases)
@settings(max_examples=50)
def test_the_same_facts_give_the_same_decision(position: int, release: tuple[Item, ...]) -> None:
    assert decide(position, release) == decide(position, release)


@given(policies, releases, st.lists(items(), max_size=3))
@settings(max_examples=200)
def test_untrusted_company_never_changes_an_allow(
    position: int, release: tuple[Item, ...], company: list[Item]
) -> None:
    before = decide(position, release)
    if before.verdict is not Verdict.ALLOW:
        return
    strangers = [replace(item, origin=replace(item.origin, key="stranger")) for item in company]
    after = decide(position, (*release, *strangers))
    assert after.verdict is Verdict.ALLOW
    for subject in range(SUBJECTS):
        assert of_subject(after, subject) == of_subject(before, subject)


@given(policies, releases)
@settings(max_examples=100)
def test_a_subject_is_judged_as_if_it_were_alone(position: int, release: tuple[Item, ...]) -> None:
    together = decide(position, release)
    for subject in range(SUBJECTS):
        own = tuple(
            replace(item, origin=replace(item.origin, covers=(0,) if subject in item.origin.covers else ()))
            for item in release
        )
        alone = evaluate(POLICIES[position], facts(*own), now=NOW)
        assert of_subject(alone, 0) == of_subject(together, subject)


@given(policies, releases)
@settings(max_examples=100)
def test_levels_are_stated_only_for_what_passed(position: int, release: tuple[Item, ...]) -> None:
    known = facts(*release, subjects=SUBJECTS)
    decision = decide(position, release)
    stated = verified_levels(POLICIES[position], known, decision)
    assert bool(stated) == (decision.verdict is Verdict.ALLOW)
    assert len([name for name in stated if name.startswith("SLSA_BUILD_LEVEL_")]) <= 1
    assert len([name for name in stated if name.startswith("SLSA_SOURCE_LEVEL_")]) <= 1
    for control, level in matrix(POLICIES[position], decision).items():
        if level is not None:
            passed = [finding for finding in decision.counting(Outcome.PASS) if finding.control == control]
            assert any(finding.level == level for finding in passed)


@given(releases)
@settings(max_examples=50)
def test_facts_with_random_text_never_raise(release: tuple[Item, ...]) -> None:
    bent = [
        replace(item, levels=("\ud800", "x" * 10_000)) if isinstance(item, SourceSummary) else item for item in release
    ]
    known: Facts = facts(*bent, subjects=SUBJECTS)
    decision = evaluate(POLICIES[0], known, now=NOW)
    assert all(finding.found.isascii() and finding.title.isascii() for finding in decision.findings)


def test_no_evidence_of_any_kind_denies_every_policy() -> None:
    for judged in POLICIES:
        known = replace(facts(subjects=SUBJECTS), evidence=EvidenceFacts())
        assert evaluate(judged, known, now=NOW).verdict is Verdict.DENY
