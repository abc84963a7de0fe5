# SPDX-License-Identifier: Apache-2.0
"""What holds for any evidence: nothing is gained by leaving evidence out, by order or by company (I3, I5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings, strategies as st

from policy.artifact_facts import Licence
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
from tests.policy.factory import (
    ADMIN,
    AUTHOR,
    COMMIT,
    LOG,
    NOW,
    REVIEWER,
    ago,
    approval,
    built,
    dismissal,
    facts,
    good,
    inventory,
    kept,
    owned,
    policy,
    protected,
    ran,
    recorded,
    reviewed,
    scanned,
    signed,
    vex,
    vulnerability,
)

SUBJECTS = 2

ASIDE: dict[str, Any] = {"vex": ["appsec"], "grace": {"critical": "7d"}, "onlyIfFixed": True}
POLICIES = [
    policy(),
    policy("BLD-1", "SRC-1"),
    policy("SRC-2"),
    policy("BLD-2", "VUL-1"),
    policy("TST-1", "SBM-1"),
    policy("VUL-1", **ASIDE),
    policy("BLD-6", "ART-1", "ART-3", submitted=True, level="better"),
    policy("LIC-1", "SBM-2", "BLD-4", "BLD-7"),
    policy("SRC-3", "SRC-4", "SRC-5"),
    policy("SRC-6", "SRC-7", "SRC-8"),
]

places = st.fixed_dictionaries(
    {
        "covers": st.sampled_from([(0,), (1,), (0, 1), (0, 1), (0, 1), ()]),
        "received": st.integers(0, 3),
        "attested": st.sampled_from([True, True, True, False]),
    }
)


def several(*choices: Any) -> st.SearchStrategy[Any]:
    """The first choice is the good one and comes up most often."""
    return st.sampled_from([choices[0]] * 3 + list(choices))


@st.composite
def items(draw: st.DrawFn) -> Item:
    name = f"item-{draw(st.integers(0, 10**6))}"
    placing: dict[str, Any] = draw(places)
    builder: dict[str, Any] = {}
    match draw(st.integers(0, 7)):
        case 0:
            if draw(several(False, True)):
                builder = {"builder": "shared-ci", "builder_id": "https://dev.invalid/shared", "key": "other"}
            return built(
                name,
                **builder,
                **placing,
                ref=draw(several("refs/heads/main", "refs/heads/x", None)),
                commit=draw(several(COMMIT, "f" * 40, None)),
                parameters=draw(several((), ("inputs.x",))),
                definition=draw(several(COMMIT, "refs/heads/x", None)),
                logs=draw(several((LOG,), ())),
                secrets=draw(several((), ("TOKEN",), None)),
                finished=draw(several(ago(hours=4), None, ago(days=30), ago(days=-1))),
                started=draw(several(ago(hours=5), None, ago(hours=1))),
            )
        case 1:
            return reviewed(
                name,
                **placing,
                bound=draw(several("source", "none")),
                commit=draw(several(COMMIT, "f" * 40)),
                levels=draw(several(("SLSA_SOURCE_LEVEL_4",), ("SLSA_SOURCE_LEVEL_2",), ())),
                collector=draw(several("forge", None)),
            )
        case 2:
            return ran(
                name,
                **placing,
                tester=draw(several("ci", None)),
                failed=draw(several(0, 2)),
                suites=draw(several(("unit",), ("e2e",), ())),
            )
        case 3:
            return scanned(
                name,
                **placing,
                scanner=draw(several("grype", None)),
                vulnerabilities=draw(several((), (vulnerability("critical"),), (vulnerability("unknown"),))),
                tells_fixes=draw(several(False, True)),
                first_received=draw(several(ago(hours=3), ago(days=8), None)),
                finished=draw(several(ago(hours=3), ago(days=9), None)),
            )
        case 4:
            return draw(records(name, placing))
        case _:
            return draw(further(name, placing))


@st.composite
def records(draw: st.DrawFn, name: str, placing: dict[str, Any]) -> Item:
    """Review records, with reviews by people inside and outside the change."""
    people = several(REVIEWER, ADMIN, AUTHOR, "unmapped", "robot:bot")
    reviews = st.builds(
        approval,
        people,
        role=several("admin", "write", "read", None),
        decision=several("approved", "dismissed"),
        commit=several(COMMIT, "f" * 40),
    )
    return recorded(
        name,
        **placing,
        bound=draw(several("source", "none")),
        commit=draw(several(COMMIT, "f" * 40)),
        collector=draw(several("forge", None)),
        by_tree=draw(several(False, True)),
        tree=draw(several(None, "a" * 40)),
        authors=draw(several((AUTHOR,), (AUTHOR, REVIEWER), ("unmapped",), None)),
        reviews=tuple(draw(st.lists(reviews, max_size=3))),
        protected=(protected(force_push=draw(several(False, True)), ref=draw(several("refs/heads/main", "refs/x"))),),
        owners_enforced=draw(several(True, False, None)),
        owned=(owned(owners=draw(several((REVIEWER,), ("unmapped",), ())), changed=draw(several(True, False))),),
        bypassed=draw(several(False, True, None)),
    )


@st.composite
def further(draw: st.DrawFn, name: str, placing: dict[str, Any]) -> Item:
    match draw(st.integers(0, 3)):
        case 0:
            return signed(name, **placing, signer=draw(several("release", None)))
        case 1:
            statement = dismissal("CVE-2026-40021", status=draw(several("not_affected", "affected")))
            return vex(statement, name=name, **placing, author=draw(several("appsec", None)))
        case 2:
            return kept(name, **placing, submitter=draw(several("robot:ci", "robot:dana")))
        case _:
            licence = Licence(expression=draw(several("MIT", "X", None)), components=3, example="a")
            return inventory(
                name,
                **placing,
                producer=draw(several("ci", None)),
                components=draw(several(3, 0)),
                undigested=draw(several(0, 1, None)),
                licences=(licence,),
            )


def whole() -> tuple[Item, ...]:
    """Evidence that satisfies every rule for both subjects."""
    return tuple(replace(item, origin=replace(item.origin, covers=(0, 1))) for item in good())


releases = st.builds(
    lambda base, more: (*base, *more), st.sampled_from([(), whole(), whole()]), st.lists(items(), max_size=6)
).map(lambda every: tuple({item.origin.digest: item for item in every}.values()))


def decide(position: int, release: tuple[Item, ...]) -> Decision:
    return evaluate(POLICIES[position], facts(*release, subjects=SUBJECTS), now=NOW)


def of_subject(decision: Decision, subject: int) -> list[Finding]:
    """The findings about one subject, whoever shares them."""
    return [finding._replace(subjects=()) for finding in decision.findings if subject in finding.subjects]


policies = st.integers(0, len(POLICIES) - 1)


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
