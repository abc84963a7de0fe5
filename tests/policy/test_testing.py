# SPDX-License-Identifier: Apache-2.0
"""Policy tests: fixtures, trials, coverage, mutants; and that the ready policies pass all of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
import yaml

from policy.decision import Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Facts
from policy.library import Level, render, render_tests
from policy.schema import PolicyError
from policy.testing.fixture import Setting, build_facts, moment, plain
from policy.testing.report import Report, by_rule, examine, junit, markdown, members, table
from policy.testing.suite import Suite, no_files, parse_suite
from tests.policy.factory import NOW, built, document, encode, facts, good, inventory
from tests.policy.promotion import FREEZE, ROLLBACK
from tests.policy.test_identity import keyless
from tests.policy.test_library import ARGUMENTS

LEVELS: tuple[Level, ...] = get_args(Level)
SETTING = Setting(policy=parse_policy(encode(document())), environment="release", at=NOW)

FIXTURE: dict[str, Any] = {
    "provenance": {
        "builder": "ci",
        "build_type": "https://actions.github.io/buildtypes/workflow/v1",
        "repository": "github.com/acme/shop",
        "ref": "refs/heads/main",
        "commit": "51c0de" + "0" * 34,
        "workflow": ".github/workflows/release.yml",
        "parameters": ["workflow.path", "workflow.ref", "workflow.repository"],
        "finished": "4h ago",
    },
    "sources": {
        "collector": "forge",
        "repository": "github.com/acme/shop",
        "commit": "51c0de" + "0" * 34,
        "result": "PASSED",
        "levels": ["SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_TWO_PARTY_REVIEWED"],
    },
    "tests": {"tester": "ci", "result": "PASSED", "suites": ["unit"], "passed": 3},
    "scans": {"scanner": "grype", "finished": "3h ago", "database_updated": "12h ago"},
    "sboms": {"producer": "ci", "format": "spdx", "components": 4},
}


def suite_value(*trials: Mapping[str, Any], **fixtures: Any) -> dict[str, Any]:
    return {
        "schema": "signing-policy-test/v1",
        "at": "2026-11-23T12:00:00Z",
        "environment": "release",
        "fixtures": {"good": FIXTURE, **fixtures},
        "trials": list(trials),
    }


def suite(*trials: Mapping[str, Any], policy: Policy | None = None, **fixtures: Any) -> Suite:
    value = suite_value(*trials, **fixtures)
    return parse_suite(encode(value), name="demo.test.yaml", policy=policy or SETTING.policy, load_facts=no_files)


def report(*trials: Mapping[str, Any], changed: Mapping[str, Any] | None = None) -> Report:
    data = encode({**document(), **(changed or {})})
    policy = parse_policy(data)
    return examine(policy, data, [suite(*trials, policy=policy)])


FRESH = {"provenance": {"finished": "2026-12-24T08:00:00Z"}, "scans": {"finished": "2026-12-24T09:00:00Z"}}
FRESH["scans"]["database_updated"] = "2026-12-24T00:00:00Z"
GOOD = {"name": "good", "given": "good", "expect": "allow"}


def of_level(level: Level, *, without: str = "") -> Report:
    data = render(level, **ARGUMENTS)
    policy = parse_policy(data)
    tests = render_tests(level, repository=ARGUMENTS["repository"])
    if without:
        value = yaml.safe_load(tests)
        kept = [trial for trial in value["trials"] if trial["name"] != without]
        assert len(kept) == len(value["trials"]) - 1
        value["at"] = "2026-11-23T12:00:00Z"
        tests = encode({**value, "trials": kept})
    return examine(policy, data, [parse_suite(tests, name=level, policy=policy, load_facts=no_files)])


# The ready policies


@pytest.mark.parametrize("level", LEVELS)
def test_a_ready_policy_passes_its_tests_with_every_rule_covered_and_no_mutant_left(level: Level) -> None:
    found = of_level(level)
    assert found.good, table(found)
    counts = {rule: len(those) for rule, those in by_rule(found.mutants).items()}
    assert all(counts[each.rule] >= 6 for each in found.coverage), counts


NEEDED: dict[str, tuple[Level, str, str]] = {
    "a tag": ("minimum", "a release from a tag", "SRC-1: refs loses refs/tags/v*"),
    "a tag that is none": ("minimum", "a tag that is no version", "SRC-1: refs takes refs/tags/* for refs/tags/v*"),
    "a failed test": ("minimum", "one failed test", "TST-1: maxFailed becomes 1"),
    "an old build": ("minimum", "a build that is too old", "defaults: maxEvidenceAge doubles"),
    "a format": ("better", "a CycloneDX inventory", "SBM-1: formats loses cyclonedx"),
    "an old scan": ("better", "a scan that is too old", "VUL-1: maxAge doubles"),
    "an old database": (
        "better",
        "a fresh scan with an old database",
        "trust.scanners.scanner: maxDatabaseAge doubles",
    ),
    "a high one": ("better", "one high vulnerability", "VUL-1: deny takes one more high"),
    "a source level": ("better", "a branch that nobody protects", "SRC-2: atLeast becomes SLSA_SOURCE_LEVEL_2"),
    "a medium one": ("strong", "one medium vulnerability", "VUL-1: deny loses medium"),
}


@pytest.mark.parametrize(("level", "without", "expected"), NEEDED.values(), ids=NEEDED)
def test_a_mutant_survives_without_the_trial_that_kills_it(level: Level, without: str, expected: str) -> None:
    found = of_level(level, without=without)
    assert expected in [f"{mutant.rule}: {mutant.what}" for mutant in found.survivors]
    assert not found.good


def test_a_ready_policy_of_other_values_passes_its_tests_too() -> None:
    arguments: dict[str, Any] = {
        "repository": "github.com/acme/*",
        "environment": "production",
        "build_types": ["https://x.invalid/t"],
        "parameters": ["inputs.*", "ref"],
    }
    data = render("better", **{**ARGUMENTS, **arguments})
    policy = parse_policy(data)
    tests = render_tests("better", **arguments)
    found = examine(policy, data, [parse_suite(tests, name="t", policy=policy, load_facts=no_files)])
    assert found.good, table(found)


# Trials


def test_a_good_fixture_is_allowed() -> None:
    found = report(GOOD)
    assert found.failed == ()


def test_what_is_trusted_is_weakened_one_by_one() -> None:
    found = [f"{each.rule}: {each.what}" for each in report(GOOD).mutants]
    assert [each for each in found if each.startswith(("trust.", "defaults"))] == [
        "trust.builders.ci: id differs",
        "trust.builders.ci: isolation becomes dedicated",
        "trust.builders.shared-ci: id differs",
        "trust.collectors.forge: verifier differs",
        "trust.scanners.grype: maxDatabaseAge is deleted",
        "trust.scanners.grype: maxDatabaseAge doubles",
        "defaults: maxEvidenceAge doubles",
        "defaults: clockSkew doubles",
    ]


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another verdict": ({"expect": "deny"}, "expected deny, got allow"),
    "a rule that passes": ({"expect": "deny", "rules": {"VUL-1": "fail"}}, "expected VUL-1 to end as fail, got pass"),
    "a rule that is not named": (
        {"given": {"fixture": "good", "without": ["scans", "sboms"]}, "expect": "deny", "rules": {"VUL-1": "unknown"}},
        "expected SBM-1 to end as pass, got unknown",
    ),
    "a reason that nobody gave": (
        {"given": {"fixture": "good", "without": ["scans"]}, "expect": "deny", "reasonContains": "the moon"},
        "no finding says: the moon",
    ),
    "later than the evidence allows": ({"at": "8d later"}, "expected allow, got deny"),
    "an environment that is not there": ({"environment": "nowhere"}, "POLICY fail"),
}


@pytest.mark.parametrize(("changes", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_trial_that_fails_says_how(changes: dict[str, Any], expected: str) -> None:
    found = report({**GOOD, **changes})
    assert expected in " ".join(fault for ran in found.failed for fault in ran.faults)
    assert not found.good
    assert found.mutants == ()


def test_a_change_merges_and_a_removal_removes() -> None:
    changed = suite(
        {
            **GOOD,
            "given": {
                "fixture": "good",
                "change": {"scans": {"vulnerabilities": [{"id": "CVE-1", "severity": "low"}]}},
                "without": ["provenance.finished", "sboms"],
            },
        }
    )
    evidence = changed.trials[0].facts.evidence
    assert [each.id for each in evidence.scans[0].vulnerabilities] == ["CVE-1"]
    assert evidence.scans[0].finished == NOW - timedelta(hours=3)
    assert evidence.provenance[0].finished is None
    assert evidence.sboms == ()


def test_a_fixture_is_made_from_one_above_it() -> None:
    found = suite(
        {**GOOD, "given": {"fixture": "older", "change": {"tests": {"passed": 9}}}},
        older={"fixture": "good", "change": {"scans": {"finished": "9h ago"}}, "without": ["sboms"]},
    )
    evidence = found.trials[0].facts.evidence
    assert evidence.scans[0].finished == NOW - timedelta(hours=9)
    assert (evidence.tests[0].passed, evidence.sboms) == (9, ())
    with pytest.raises(PolicyError, match="there is no fixture"):
        suite(GOOD, older={"fixture": "younger"}, younger={"fixture": "good"})


def with_rule(rule: dict[str, Any], *trials: Mapping[str, Any]) -> Report:
    return report(*trials, changed={"rules": [*document()["rules"], rule]})


def test_a_freeze_is_covered_by_a_trial_in_its_window() -> None:
    ends = {"name": "at Christmas", "given": "good", "at": "2026-12-24T12:00:00Z", "expect": "deny"}
    for trials, missing in (((), ("fail",)), (({**ends, "rules": {"FRZ-1": "frozen"}},), ())):
        value = {**FREEZE, "windows": ["2026-12-24T00:00:00Z/2026-12-25T00:00:00Z"]}
        # The evidence is as fresh as ever: only the window stops it.
        made = [{**each, "given": {"fixture": "good", "change": FRESH}} for each in trials]
        found = with_rule(value, GOOD, *made)
        assert found.failed == ()
        (covered,) = (each for each in found.coverage if each.rule == "FRZ-1")
        assert (covered.passes, covered.absent, covered.missing) == (True, None, missing)
        assert "n/a" in table(found)


def test_a_plan_that_anybody_may_bring_is_covered_without_a_failure_and_without_a_survivor() -> None:
    plan = {"documents": {"kind": "rollback-plan", "origin": {"attested": False}}}
    for rule, endings, survivors in (
        (ROLLBACK, (True, None, True), set()),
        ({**ROLLBACK, "submitters": ["robot:ci"]}, (True, False, True), {"submitters is deleted"}),
    ):
        found = with_rule(
            rule,
            {"name": "no plan", "given": "good", "expect": "deny", "rules": {"RBK-1": "unknown"}},
            {"name": "a plan", "given": {"fixture": "good", "change": plan}, "expect": "allow"},
        )
        (covered,) = (each for each in found.coverage if each.rule == "RBK-1")
        assert (covered.passes, covered.fails, covered.absent) == endings
        assert {mutant.what for mutant in found.survivors if mutant.rule == "RBK-1"} == survivors


def test_a_recorded_decision_is_a_fixture() -> None:
    recorded = facts(*good())

    def load_facts(name: str) -> Facts:
        assert name == "decision-17.json"
        return recorded

    value = suite_value(
        {"name": "recorded", "given": "seventeen", "expect": "allow"},
        {
            "name": "changed",
            "given": {"fixture": "seventeen", "without": ["evidence.scans"]},
            "expect": "deny",
            "rules": {"VUL-1": "unknown"},
        },
        seventeen={"facts": "decision-17.json"},
    )
    found = parse_suite(encode(value), name="t", policy=SETTING.policy, load_facts=load_facts)
    assert found.trials[0].facts.evidence == recorded.evidence
    assert found.trials[0].facts.request == recorded.request
    assert [evaluate(SETTING.policy, each.facts, now=each.at).verdict for each in found.trials] == [
        Verdict.ALLOW,
        Verdict.DENY,
    ]


def test_plain_values_of_facts_make_the_same_facts() -> None:
    recorded = facts(*good(), built("second", triggered_by="robot:ci"), inventory("third", attested=False, key=None))
    again = build_facts(plain(recorded), setting=SETTING, path="given")
    assert again.evidence == recorded.evidence
    assert again.request == recorded.request


REFUSED: dict[str, tuple[Any, str]] = {
    "another schema": ({**suite_value(GOOD), "schema": "signing-policy/v1"}, "schema"),
    "no instant": ({key: value for key, value in suite_value(GOOD).items() if key != "at"}, "at: is missing"),
    "an unknown key": ({**suite_value(GOOD), "skip": True}, "skip: is not a key"),
    "a trial twice": (suite_value(GOOD, GOOD), "is taken"),
    "a trial that may be skipped": (suite_value({**GOOD, "skip": True}), "trials[0].skip: is not a key"),
    "an unknown fixture": (suite_value({**GOOD, "given": "bad"}), "there is no fixture"),
    "a rule that is not there": (suite_value({**GOOD, "rules": {"XXX-9": "fail"}}), "XXX-9: is no rule"),
    "an outcome that is none": (suite_value({**GOOD, "rules": {"VUL-1": "meh"}}), "is not one of"),
    "an unknown kind of evidence": (
        suite_value({**GOOD, "given": {"fixture": "good", "change": {"horoscopes": {}}}}),
        "horoscopes: is no kind of fact",
    ),
    "an unknown field": (
        suite_value({**GOOD, "given": {"fixture": "good", "change": {"scans": {"colour": "red"}}}}),
        "scans[0].colour: is no field here",
    ),
    "a field of another type": (
        suite_value({**GOOD, "given": {"fixture": "good", "change": {"tests": {"passed": "many"}}}}),
        "tests[0].passed: ",
    ),
    "a severity that is none": (
        suite_value(
            {
                **GOOD,
                "given": {
                    "fixture": "good",
                    "change": {"scans": {"vulnerabilities": [{"id": "x", "severity": "bad"}]}},
                },
            }
        ),
        "is not one of critical",
    ),
    "a time that is none": (
        suite_value({**GOOD, "given": {"fixture": "good", "change": {"scans": {"finished": "yesterday"}}}}),
        "finished: is not a time",
    ),
    "a removal of nothing": (
        suite_value({**GOOD, "given": {"fixture": "good", "without": ["scans.colour"]}}),
        "there is nothing at 'colour'",
    ),
    "a missing field": (suite_value({**GOOD, "given": "half"}, half={"tests": {"tester": "ci"}}), "result: is missing"),
    "a file where there is none": (suite_value(GOOD, other={"facts": "x.json"}), "is a file"),
    "no trial": (suite_value(), "trials"),
    "a list": ([], "document"),
}


@pytest.mark.parametrize(("value", "expected"), REFUSED.values(), ids=REFUSED)
def test_refuses_a_suite_with(value: Any, expected: str) -> None:
    with pytest.raises(PolicyError) as fault:
        parse_suite(encode(value), name="t", policy=SETTING.policy, load_facts=no_files)
    assert expected in fault.value.detail
    assert fault.value.remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d3h ago", NOW - timedelta(days=2, hours=3)),
        ("3m ahead", NOW + timedelta(minutes=3)),
        ("1w earlier", NOW - timedelta(weeks=1)),
        ("0s later", NOW),
        ("2026-11-23T13:00:00+01:00", NOW),
    ],
)
def test_reads_a_time(text: str, expected: object) -> None:
    assert moment(text, at=NOW, path="at") == expected


# Coverage and mutants


def test_an_outcome_that_no_trial_expects_is_not_covered() -> None:
    denied = {"name": "no scan", "given": {"fixture": "good", "without": ["scans"]}, "expect": "deny"}
    covered = {each.rule: each for each in report(GOOD, denied).coverage}
    assert covered["VUL-1"].missing == ("fail", "evidence absent")
    named = {each.rule: each for each in report(GOOD, {**denied, "rules": {"VUL-1": "unknown"}}).coverage}
    assert named["VUL-1"].missing == ("fail",)


def test_a_rule_that_nobody_requires_needs_no_trial() -> None:
    changed = {"environments": {"release": {"require": ["BLD-1"], "key": "release", "formats": ["vsa"]}}}
    assert [each.rule for each in report(GOOD, changed=changed).coverage] == ["BLD-1"]


def test_a_policy_that_expires_is_judged_past_its_end() -> None:
    expiring = [mutant for mutant in report(GOOD).mutants if mutant.rule == "POLICY"]
    assert expiring
    assert not any(mutant.survived for mutant in expiring)


def test_only_trials_that_pass_are_compared_with_mutants() -> None:
    assert report({**GOOD, "expect": "deny"}).mutants == ()


def test_a_fixture_by_an_identity_has_its_certificate_and_its_mutants() -> None:
    data = encode(keyless())
    policy = parse_policy(data)
    found = examine(policy, data, [suite(GOOD, policy=policy)])
    assert found.failed == (), found.failed[0].faults
    (item,) = found.ran[0].trial.facts.evidence.provenance
    assert item.origin.identity is not None
    assert item.origin.identity.repository_id == "632596897"
    mutants = {mutant.what: mutant.killed_by for mutant in found.mutants if mutant.rule == "BLD-1"}
    assert mutants["Provenance is signed by another identity, in 'good'"] == "the judge"


# Reports


def test_reports_name_what_is_wrong() -> None:
    found = report(GOOD, {**GOOD, "name": "<wrong> & \x07", "expect": "deny"})
    tree = ET.fromstring(junit(found))
    failures = [case.get("name") for case in tree.iter("testcase") if case.find("failure") is not None]
    assert failures[0] == "<wrong> & ?"
    # What a failing trial covers nobody can say: first it has to pass.
    assert "UNCOVERED" not in table(found)
    assert "UNCOVERED VUL-1" in table(report(GOOD))
    assert "&lt;wrong&gt;" in markdown(found)
    assert members(found)["good"] is False
    assert [each["pass"] for each in members(found)["coverage"]] == [True] * 7


def test_one_fault_of_many_trials_is_told_once() -> None:
    those = [{**GOOD, "name": name, "expect": "deny"} for name in ("one", "two", "three")]
    assert table(report(*those)).count("expected deny, got allow") == 1
    assert "FAILED    demo.test.yaml: one and 2 more: expected deny" in table(report(*those))


def test_a_rule_in_shadow_is_compared_only_where_a_trial_names_it() -> None:
    strict: dict[str, Any] = {
        "id": "SBM-9",
        "type": "sbom.present",
        "control": "artifact",
        "level": "better",
        "mode": "shadow",
    }
    strict |= {"formats": ["spdx"], "minComponents": 1000}
    bare = {"name": "bare", "given": {"fixture": "good", "without": ["scans"]}, "expect": "deny"}
    unnamed = with_rule(strict, GOOD, {**bare, "rules": {"VUL-1": "unknown"}})
    assert unnamed.failed == ()
    named = with_rule(strict, {**bare, "rules": {"VUL-1": "unknown", "SBM-9": "fail"}})
    assert named.failed == ()
    wrong = with_rule(strict, {**bare, "rules": {"VUL-1": "unknown", "SBM-9": "unknown"}})
    assert ["expected SBM-9 to end as unknown" in ran.faults[0] for ran in wrong.failed] == [True]


def test_the_outcome_of_a_rule_is_the_worst_over_all_subjects() -> None:
    found = report(
        {
            "name": "two",
            "given": {"fixture": "good", "change": {"subjects": ["a", "b"], "scans": {"origin": {"covers": [0]}}}},
            "expect": "deny",
            "rules": {"VUL-1": Outcome.UNKNOWN.value},
        }
    )
    assert found.failed == ()
