# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy.decision import Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import EvidenceFacts, Item
from policy.judgement import Judgement
from policy.rule import Case
from policy.rules.source import change
from policy.rules.source.join import join
from tests.policy.factory import (
    NOW,
    ago,
    built,
    built_shared,
    document,
    encode,
    facts,
    good,
    inventory,
    judge,
    policy,
    ran,
    recorded,
    reviewed,
    scanned,
)

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN


def test_evidence_that_satisfies_every_rule_allows() -> None:
    decision = judge(policy(), *good())
    assert decision.verdict is Verdict.ALLOW
    assert {finding.outcome for finding in decision.findings} == {PASS}
    assert all(finding.evidence for finding in decision.findings)


def test_findings_stand_in_the_order_of_the_policy() -> None:
    decision = judge(policy(), *good())
    assert [finding.rule for finding in decision.findings] == [rule["id"] for rule in document()["rules"]]


@pytest.mark.parametrize("position", range(5), ids=["provenance", "source", "tests", "scan", "sbom"])
def test_without_any_one_piece_of_evidence_nothing_is_allowed(position: int) -> None:
    items = [item for index, item in enumerate(good()) if index != position]
    assert judge(policy(), *items).verdict is Verdict.DENY


def test_no_evidence_is_unknown_for_every_rule_and_denied() -> None:
    decision = judge(policy())
    assert decision.verdict is Verdict.DENY
    assert {finding.outcome for finding in decision.findings} == {UNKNOWN}
    assert len(decision.findings) == 7


def test_all_failures_are_reported_together() -> None:
    decision = judge(policy(), built(ref="refs/heads/x"), ran(failed=1), scanned(scanner=None), inventory(components=0))
    outcomes = {finding.rule: finding.outcome for finding in decision.findings}
    assert outcomes == {
        "BLD-1": PASS,
        "BLD-2": PASS,
        "SRC-1": FAIL,
        "SRC-2": UNKNOWN,
        "TST-1": FAIL,
        "VUL-1": FAIL,
        "SBM-1": FAIL,
    }


def test_one_unknown_denies() -> None:
    decision = judge(policy(), built(), reviewed(), ran(), scanned())
    assert decision.counting(UNKNOWN) == decision.of("SBM-1")
    assert decision.verdict is Verdict.DENY


def test_a_rule_that_the_environment_does_not_require_is_not_judged() -> None:
    value = document()
    value["environments"]["release"]["require"] = ["SBM-1"]
    decision = judge(parse_policy(encode(value)), inventory())
    assert [finding.rule for finding in decision.findings] == ["SBM-1"]
    assert decision.verdict is Verdict.ALLOW


def test_an_unknown_environment_denies() -> None:
    decision = evaluate(policy(), facts(*good(), environment="prod"), now=NOW)
    assert decision.verdict is Verdict.DENY
    assert [(finding.rule, finding.type) for finding in decision.findings] == [("POLICY", "policy.environment")]


def test_another_policy_denies() -> None:
    decision = evaluate(policy(), facts(*good(), name="other"), now=NOW)
    assert decision.verdict is Verdict.DENY
    assert [finding.type for finding in decision.counting(FAIL)] == ["policy.requested"]


def test_no_subject_denies() -> None:
    decision = judge(policy(), *good(), subjects=0)
    assert decision.verdict is Verdict.DENY
    assert [finding.type for finding in decision.findings] == ["policy.subjects"]


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        pytest.param(timedelta(seconds=-1), Verdict.ALLOW, id="one second before"),
        pytest.param(timedelta(0), Verdict.DENY, id="at the instant"),
        pytest.param(timedelta(days=1), Verdict.DENY, id="later"),
    ],
)
def test_an_expired_policy_denies_by_a_finding_of_its_own(offset: timedelta, verdict: Verdict) -> None:
    value = document()
    value["metadata"]["expires"] = (NOW - offset).strftime("%Y-%m-%dT%H:%M:%SZ")
    decision = judge(parse_policy(encode(value)), *good())
    assert decision.verdict is verdict
    assert [finding.type for finding in decision.counting(FAIL)] == ["policy.current"] * (verdict is Verdict.DENY)
    assert len(decision.counting(PASS)) == 7


def test_the_judged_instant_must_carry_its_offset() -> None:
    with pytest.raises(ValueError, match="offset"):
        evaluate(policy(), facts(*good()), now=NOW.replace(tzinfo=None))


def test_the_same_instant_in_another_offset_gives_the_same_decision() -> None:
    elsewhere = datetime.fromisoformat("2026-11-23T21:00:00+09:00")
    assert evaluate(policy(), facts(*good()), now=elsewhere) == evaluate(policy(), facts(*good()), now=NOW)


# --- rules that misbehave


def with_judge(judgement: Any) -> Policy:
    """The policy with one rule whose judgement is replaced."""
    judged = policy("SBM-1")
    rules = tuple(replace(rule, kind=replace(rule.kind, judge=judgement)) for rule in judged.rules)
    environment = replace(judged.environments["release"], rules=rules)
    return replace(judged, rules=rules, environments={"release": environment})


def raising(_: object, __: Case) -> Judgement:
    raise ZeroDivisionError


def vacuous(_: object, __: Case) -> Judgement:
    return Judgement(outcome=PASS, cause="", found="nothing was needed")


def test_a_rule_that_raises_is_unknown() -> None:
    decision = judge(with_judge(raising), *good())
    assert decision.verdict is Verdict.DENY
    assert decision.findings[0].outcome is UNKNOWN
    assert decision.findings[0].title == "cannot tell: the rule ended with ZeroDivisionError"


def test_a_pass_that_counted_nothing_is_unknown() -> None:
    decision = judge(with_judge(vacuous), *good())
    assert decision.verdict is Verdict.DENY
    assert decision.findings[0].outcome is UNKNOWN


def test_times_without_offset_are_unknown() -> None:
    (finding,) = judge(policy("VUL-1"), scanned(finished=NOW.replace(tzinfo=None))).findings
    assert finding.outcome is UNKNOWN


def test_times_at_the_ends_of_the_calendar_never_raise() -> None:
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert judge(policy("VUL-1"), scanned(finished=at)).verdict is Verdict.DENY
        assert judge(policy("BLD-1"), built(finished=at)).verdict is Verdict.DENY


def test_a_clock_at_the_ends_of_the_calendar_never_raises() -> None:
    for now in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert evaluate(policy(), facts(*good()), now=now).verdict is Verdict.DENY


TICK = timedelta(microseconds=1)
AGES = {
    "exactly at the limit and the skew": (timedelta(days=2, minutes=2), PASS),
    "one tick older": (timedelta(days=2, minutes=2) + TICK, FAIL),
    "exactly the skew ahead": (-timedelta(minutes=2), PASS),
    "one tick further ahead": (-timedelta(minutes=2) - TICK, FAIL),
}


@pytest.mark.parametrize(("age", "outcome"), AGES.values(), ids=AGES)
def test_the_limits_of_age_are_exact(age: timedelta, outcome: Outcome) -> None:
    (finding,) = judge(policy("VUL-1"), scanned(finished=NOW - age, database_updated=NOW - age)).findings
    assert finding.outcome is outcome


def test_a_scan_may_end_the_skew_before_the_build_began() -> None:
    for tick, outcome in ((timedelta(0), PASS), (TICK, FAIL)):
        began = ago(hours=3) + timedelta(minutes=2) + tick
        decision = judge(policy("BLD-1", "VUL-1"), built(started=began, finished=ago(hours=1)), scanned())
        assert decision.of("VUL-1")[0].outcome is outcome


def test_every_kind_of_evidence_is_among_the_items() -> None:
    marks = {field.name: (object(),) for field in fields(EvidenceFacts)}
    assert EvidenceFacts(**marks).items() == tuple(mark for (mark,) in marks.values())  # type: ignore[arg-type]


def test_what_several_rules_ask_of_a_case_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    joins: list[str] = []

    def counted(*arguments: Any, what: str) -> Any:
        joins.append(what)
        return join(*arguments, what=what)

    monkeypatch.setattr(change, "join", counted)
    two_builds = (built("first"), built("second", received=2), recorded())
    decision = judge(policy("SRC-3", "SRC-4", "SRC-5"), *two_builds)
    assert decision.verdict is Verdict.ALLOW
    assert joins == ["review record"] * 2, "once for each provenance that may answer"


# --- several subjects (Let's Encrypt, 2020: one item checked N times is not N items checked)


def test_subjects_with_the_same_evidence_share_one_finding() -> None:
    items = [replace(item, origin=replace(item.origin, covers=(0, 1, 2))) for item in good()]
    decision = judge(policy(), *items, subjects=3)
    assert decision.verdict is Verdict.ALLOW
    assert [finding.subjects for finding in decision.findings] == [(0, 1, 2)] * 7


def test_each_subject_is_judged_on_its_own_evidence() -> None:
    scans = [scanned(f"scan-{index}", covers=(index,)) for index in range(3)]
    bad = replace(scans[1], finished=ago(days=30))
    decision = judge(policy("VUL-1"), scans[0], bad, scans[2], subjects=3)
    assert decision.verdict is Verdict.DENY
    assert [(finding.subjects, finding.outcome) for finding in decision.findings] == [
        ((0,), PASS),
        ((1,), FAIL),
        ((2,), PASS),
    ]
    assert [finding.evidence for finding in decision.findings] == [
        (scans[0].origin.digest,),
        (bad.origin.digest,),
        (scans[2].origin.digest,),
    ]


def test_one_good_item_repeated_does_not_cover_the_other_subjects() -> None:
    repeated = [scanned(f"scan-{index}", covers=(0,)) for index in range(3)]
    decision = judge(policy("VUL-1"), *repeated, subjects=3)
    assert decision.verdict is Verdict.DENY
    assert {finding.subjects: finding.outcome for finding in decision.findings} == {(0,): PASS, (1, 2): UNKNOWN}


def test_one_subject_without_evidence_denies_all() -> None:
    items = [replace(item, origin=replace(item.origin, covers=tuple(range(999)))) for item in good()]
    decision = judge(policy(), *items, subjects=1000)
    assert decision.verdict is Verdict.DENY
    assert {finding.subjects for finding in decision.counting(UNKNOWN)} == {(999,)}


def test_indices_outside_the_request_cover_nothing() -> None:
    assert judge(policy("SBM-1"), inventory(covers=(-1, 1, 7))).verdict is Verdict.DENY


def test_a_repeated_index_covers_once() -> None:
    decision = judge(policy("SBM-1"), inventory(covers=(0, 0, 0)))
    assert (decision.verdict, [finding.subjects for finding in decision.findings]) == (Verdict.ALLOW, [(0,)])


# --- one provenance answers for a subject


def test_two_half_good_builds_do_not_add_up() -> None:
    right_place = built_shared("right place, weak builder")
    right_builder = built("wrong place, good builder", ref="refs/heads/evil")
    decision = judge(policy("BLD-1", "BLD-2", "SRC-1"), right_place, right_builder)
    assert decision.verdict is Verdict.DENY
    counted = {digest for finding in decision.findings for digest in finding.evidence}
    assert len(counted) == 1, "every finding speaks of the same provenance"


def test_one_good_build_answers_whatever_else_was_built() -> None:
    items: tuple[Item, ...] = (
        built_shared("weak", received=8),
        built(),
        built("elsewhere", ref="refs/heads/evil", received=9),
    )
    decision = judge(policy("BLD-1", "BLD-2", "SRC-1"), *items)
    assert decision.verdict is Verdict.ALLOW
    assert {finding.evidence for finding in decision.findings} == {(built().origin.digest,)}


def test_of_two_equal_builds_the_one_received_last_answers() -> None:
    first, last = built("first", received=1), built("last", received=2)
    for items in ((first, last), (last, first)):
        assert judge(policy("BLD-1"), *items).findings[0].evidence == (last.origin.digest,)


def test_a_review_of_another_build_does_not_carry_over() -> None:
    reviewed_elsewhere = built("reviewed, wrong branch", ref="refs/heads/evil")
    unreviewed = built("right branch, not reviewed", commit="f" * 40)
    decision = judge(policy("BLD-1", "SRC-1", "SRC-2"), reviewed_elsewhere, unreviewed, reviewed())
    assert decision.verdict is Verdict.DENY


def test_a_scan_is_compared_with_the_build_that_answers() -> None:
    later_build = built("rebuilt", started=ago(hours=1), finished=ago(minutes=30), received=9)
    assert judge(policy("BLD-1", "VUL-1"), built(), later_build, scanned()).verdict is Verdict.ALLOW
    assert judge(policy("BLD-1", "VUL-1"), later_build, scanned()).verdict is Verdict.DENY


def test_provenance_does_not_touch_a_policy_that_reads_none() -> None:
    later_build = built(started=ago(hours=1), finished=ago(minutes=30))
    assert judge(policy("VUL-1"), later_build, scanned()).verdict is Verdict.ALLOW


# --- wording


REQUIRED: dict[str, tuple[str, dict[str, Any], str]] = {
    "provenance": (
        "BLD-1",
        {"maxAge": "36h"},
        (
            "provenance by ci or shared-ci; "
            'build type "https://actions.github.io/buildtypes/workflow/v1"; '
            "no external parameter but workflow.path, workflow.ref, workflow.repository; "
            "workflow .github/workflows/release.yml; at most 1d12h old"
        ),
    ),
    "provenance with nothing optional": (
        "BLD-1",
        {"workflows": None, "parameters": {"allow": []}, "buildTypes": ["https://x.invalid"]},
        'provenance by ci or shared-ci; build type "https://x.invalid"; no external parameter',
    ),
    "isolation": ("BLD-2", {}, "a builder of isolation ephemeral or better"),
    "ref": ("SRC-1", {}, "repository github.com/acme/shop; ref refs/heads/main or refs/tags/v*"),
    "reviews": (
        "SRC-2",
        {"refs": ["refs/heads/main"], "maxAge": "90m"},
        (
            "a source VSA by forge for the commit that was built; SLSA_SOURCE_LEVEL_3 or better; "
            "SLSA_SOURCE_TWO_PARTY_REVIEWED; for ref refs/heads/main; at most 1h30m old"
        ),
    ),
    "reviews by property alone": (
        "SRC-2",
        {"atLeast": None},
        "a source VSA by forge for the commit that was built; SLSA_SOURCE_TWO_PARTY_REVIEWED",
    ),
    "tests": ("TST-1", {}, 'the latest test result of "unit" by ci: at least 1 passed, at most 0 failed'),
    "scans": (
        "VUL-1",
        {},
        "the latest scan of this digest by grype, at most 2d old: at most 0 critical, 0 high, 0 unknown",
    ),
    "sboms": ("SBM-1", {}, "an SBOM in spdx by ci with at least 1 components"),
}


@pytest.mark.parametrize(("rule", "changes", "expected"), REQUIRED.values(), ids=REQUIRED)
def test_a_finding_says_in_words_what_is_required(rule: str, changes: dict[str, Any], expected: str) -> None:
    assert judge(policy(rule, **changes)).findings[0].required == expected


def test_every_finding_that_is_no_pass_says_who_can_fix_it_and_by_which_command() -> None:
    worst: tuple[tuple[Item, ...], ...] = (
        (),
        (built(key="stranger"), reviewed(), ran(key="scanner"), scanned(key="builder"), inventory(key="scanner")),
        (
            built(ref=None, commit=None, workflow=None),
            ran(passed=0),
            scanned(finished=None),
            inventory(components=0),
        ),
    )
    for items in worst:
        for finding in judge(policy(), *items).findings:
            if finding.outcome is not PASS:
                assert "signer " in finding.remedy
                assert finding.title
                assert finding.required
                assert finding.found


def test_no_remedy_tells_how_to_turn_a_rule_off() -> None:
    texts = [finding.remedy.lower() for items in ((), good()) for finding in judge(policy(), *items).findings]
    texts += [f"{rule.kind.remedy} {rule.kind.supply}".lower() for rule in policy().rules]
    for text in texts:
        assert not any(word in text for word in ("disable", "exclude", "skip", "remove the rule", "turn off", "waive"))


def test_judging_leaves_policy_and_facts_as_they_were() -> None:
    judged, known = policy(), facts(*good())
    before = copy.deepcopy((known, judged.rules[0].parameters))
    evaluate(judged, known, now=NOW)
    assert (known, judged.rules[0].parameters) == before
