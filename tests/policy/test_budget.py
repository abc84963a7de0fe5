# SPDX-License-Identifier: Apache-2.0
"""The work of a judgement is bounded before it begins: what is too much is denied, and not judged."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policy.artifact_facts import Licence
from policy.budget import MOST_EFFORT, effort
from policy.decision import Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Item
from policy.groups import group_subjects
from policy.judgement import Judgement
from policy.rule import Case, Rule
from policy.schema import PolicyError
from tests.policy.factory import (
    NOW,
    approval,
    built,
    dismissal,
    document,
    encode,
    facts,
    inventory,
    policy,
    ran,
    recorded,
    scanned,
    vex,
    vulnerability,
)
from tests.policy.releases import POLICIES, SUBJECTS, policies, releases


def counting(judged: Policy) -> tuple[Policy, list[str]]:
    """The policy, and the ids of rules in the order in which they are judged."""
    asked: list[str] = []

    def watched(rule: Rule) -> Rule:
        def judge(demand: Any, case: Case) -> Judgement:
            asked.append(rule.id)
            return rule.kind.judge(demand, case)

        return replace(rule, kind=replace(rule.kind, judge=judge))

    environment = judged.environments["release"]
    watching = replace(environment, rules=tuple(map(watched, environment.rules)))
    return replace(judged, environments={"release": watching}), asked


def inventories(count: int) -> Policy:
    """A policy with so many rules of the smallest sort."""
    value = copy.deepcopy(document())
    (rule,) = (each for each in value["rules"] if each["id"] == "SBM-1")
    value["rules"] = [{**rule, "id": f"SBM-{number}"} for number in range(count)]
    return parse_policy(encode(value))


def apart(subjects: int) -> tuple[Item, ...]:
    """Each subject with evidence of its own."""
    return tuple(inventory(f"sbom-{index}", covers=(index,)) for index in range(subjects))


def work(judged: Policy, *items: Item, subjects: int = 1) -> int:
    return effort(judged.environments["release"].rules, group_subjects(facts(*items, subjects=subjects)))


def test_what_is_over_the_budget_is_denied_and_not_judged() -> None:
    judged, asked = counting(inventories(11))
    decision = evaluate(judged, facts(*apart(1000), subjects=1000), now=NOW)
    assert decision.verdict is Verdict.DENY
    (finding,) = decision.findings
    assert (finding.rule, finding.type, finding.outcome) == ("POLICY", "policy.budget", Outcome.FAIL)
    assert finding.subjects == tuple(range(1000))
    assert (finding.found, str(MOST_EFFORT) in finding.required) == ("11000 units", True)
    assert "signer sign" in finding.remedy
    assert asked == []


def test_what_the_budget_just_allows_is_judged() -> None:
    judged, asked = counting(inventories(10))
    assert work(judged, *apart(1000), subjects=1000) == MOST_EFFORT
    assert evaluate(judged, facts(*apart(1000), subjects=1000), now=NOW).verdict is Verdict.ALLOW
    assert len(asked) == MOST_EFFORT


def test_builds_times_groups_times_rules_are_counted_before_anything_is_judged() -> None:
    # 64 attestations in ten patterns part 1000 subjects into as many groups, each with some thirty builds.
    builds = [
        built(f"build {number}", ref="refs/heads/x", covers=tuple(i for i in range(1000) if i >> number % 10 & 1))
        for number in range(64)
    ]
    judged, asked = counting(policy("BLD-1", "BLD-2", "SRC-1"))
    decision = evaluate(judged, facts(*builds, subjects=1000), now=NOW)
    assert [finding.type for finding in decision.findings] == ["policy.budget"]
    assert asked == []


FLOOD = tuple(vulnerability("critical", name=f"CVE-2026-{number}") for number in range(2000))
ASIDE: dict[str, Any] = {"vex": ["appsec"], "grace": {"critical": "7d"}}
LICENCES = tuple(Licence(expression=f"MIT OR X-{number}", components=1, example="a") for number in range(2000))
CROWD = tuple(approval(f"person:{number}") for number in range(2000))
GROWING: dict[str, tuple[Policy, tuple[Item, ...]]] = {
    "vulnerabilities": (policy("VUL-1"), (scanned(vulnerabilities=FLOOD),)),
    "vulnerabilities that may be set aside": (policy("VUL-1", **ASIDE), (scanned(vulnerabilities=FLOOD),)),
    "statements about vulnerabilities": (
        policy("VUL-1", **ASIDE),
        (scanned(), vex(*(dismissal(each.id) for each in FLOOD))),
    ),
    "licences": (policy("LIC-1"), (inventory(licences=LICENCES),)),
    "reviews": (policy("SRC-4"), (built(), recorded(reviews=CROWD))),
    "parameters": (
        policy("BLD-1", parameters={"allow": [f"inputs.x{number}" for number in range(200)]}),
        (built(parameters=tuple(f"inputs.{number}" for number in range(2000))),),
    ),
    "suites": (
        policy("TST-1", suites=[f"suite-{number}" for number in range(200)]),
        (ran(suites=tuple(f"other-{number}" for number in range(2000))),),
    ),
}


@pytest.mark.parametrize(("judged", "items"), GROWING.values(), ids=GROWING)
def test_the_budget_grows_with_what_the_evidence_holds(judged: Policy, items: tuple[Item, ...]) -> None:
    assert work(judged, *items) > 100 * work(judged)


def test_one_scan_with_more_than_anybody_reads_is_denied() -> None:
    flood = FLOOD * 25
    (finding,) = evaluate(policy("VUL-1"), facts(scanned(vulnerabilities=flood)), now=NOW).findings
    assert finding.type == "policy.budget"
    (finding,) = evaluate(policy("VUL-1"), facts(scanned(vulnerabilities=FLOOD)), now=NOW).findings
    assert finding.type == "vulns.threshold"


def test_rules_in_shadow_count_as_the_work_that_they_are() -> None:
    judged = inventories(10)
    first, *rest = judged.environments["release"].rules
    shadowed = (replace(first, mode="shadow"), *rest)
    groups = group_subjects(facts(*apart(10), subjects=10))
    assert effort(shadowed, groups) == 2 * effort((first, *rest), groups)


@given(policies, releases, st.booleans())
@settings(max_examples=100)
def test_no_judgement_takes_more_than_its_effort(position: int, release: tuple[Item, ...], shadow: bool) -> None:
    judged, asked = counting(POLICIES[position])
    if shadow and len(judged.rules) > 1:
        first, *rest = judged.environments["release"].rules
        environment = replace(judged.environments["release"], rules=(replace(first, mode="shadow"), *rest))
        judged = replace(judged, environments={"release": environment})
    evaluate(judged, facts(*release, subjects=SUBJECTS), now=NOW)
    assert len(asked) <= work(judged, *release, subjects=SUBJECTS)


@pytest.mark.parametrize("filler", [b"#", b" ", b"[", b"- a\n"], ids=["comment", "space", "nesting", "list"])
def test_a_policy_of_10_megabytes_is_refused_at_load(filler: bytes) -> None:
    with pytest.raises(PolicyError, match="larger than"):
        parse_policy(filler * (10_000_000 // len(filler)))
