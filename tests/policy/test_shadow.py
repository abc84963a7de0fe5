# SPDX-License-Identifier: Apache-2.0
"""Rules in shadow: shown with what they would have been, and never a part of the verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policy.decision import Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Item
from policy.judgement import Judgement
from policy.levels import matrix, verified_levels
from policy.lint import lint
from policy.rule import Case
from policy.schema import PolicyError
from tests.policy.factory import (
    NOW,
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
    reviewed,
    scanned,
    vulnerability,
)

LATER = "2027-01-15T00:00:00Z"


def shadowing(*names: str, **more: Any) -> Policy:
    """The policy `demo` with these rules in shadow."""
    value = document()
    for rule in value["rules"]:
        if rule["id"] in names:
            rule.update({"mode": "shadow", **more})
    return parse_policy(encode(value))


BAD_SCAN = scanned(vulnerabilities=(vulnerability("critical"),))

WOULD: dict[str, tuple[tuple[Item, ...], Outcome]] = {
    "a satisfied rule would pass": (good(), Outcome.PASS),
    "a broken rule would fail": ((built(), reviewed(), ran(), BAD_SCAN, inventory()), Outcome.FAIL),
    "a rule without evidence would be unknown": ((built(), reviewed(), ran(), inventory()), Outcome.UNKNOWN),
}


@pytest.mark.parametrize(("items", "would"), WOULD.values(), ids=WOULD)
def test_a_rule_in_shadow_says_what_it_would_have_been_and_lets_through(
    items: tuple[Item, ...], would: Outcome
) -> None:
    decision = judge(shadowing("VUL-1"), *items)
    (finding,) = decision.of("VUL-1")
    assert (finding.outcome, finding.would) == (Outcome.SHADOW, would)
    assert f"would end as {would}" in finding.title
    assert decision.verdict is Verdict.ALLOW
    enforced = judge(policy(), *items)
    assert (finding.found, finding.evidence, finding.remedy) == (
        enforced.of("VUL-1")[0].found,
        enforced.of("VUL-1")[0].evidence,
        enforced.of("VUL-1")[0].remedy,
    )


def test_a_rule_in_force_still_denies_beside_one_in_shadow() -> None:
    decision = judge(shadowing("VUL-1"), built(), reviewed(), scanned(), inventory())
    assert decision.verdict is Verdict.DENY
    assert [finding.rule for finding in decision.findings if finding.outcome is Outcome.UNKNOWN] == ["TST-1"]


@pytest.mark.parametrize(
    ("after", "outcome", "verdict"),
    [
        pytest.param(timedelta(seconds=-1), Outcome.SHADOW, Verdict.ALLOW, id="a second before"),
        pytest.param(timedelta(0), Outcome.FAIL, Verdict.DENY, id="at the instant"),
        pytest.param(timedelta(days=1), Outcome.FAIL, Verdict.DENY, id="afterwards"),
    ],
)
def test_a_rule_is_in_force_from_its_day_on_without_another_version(
    after: timedelta, outcome: Outcome, verdict: Verdict
) -> None:
    dated = shadowing("SBM-1", effectiveOn=NOW.strftime("%Y-%m-%dT%H:%M:%SZ"))
    decision = judge(dated, built(), reviewed(), ran(), scanned(), inventory(components=0), now=NOW + after)
    assert (decision.of("SBM-1")[0].outcome, decision.verdict) == (outcome, verdict)


def test_the_day_stands_in_the_finding() -> None:
    (finding,) = judge(shadowing("VUL-1", effectiveOn=LATER), *good()).of("VUL-1")
    assert LATER in finding.title


def test_a_rule_in_shadow_chooses_no_provenance_for_the_rules_in_force() -> None:
    # The shared build satisfies the one rule in force, the other build two of those in shadow.
    rules = ("BLD-2", "SRC-1")
    items = (
        built(parameters=("inputs.x",), received=2),
        built_shared(ref="refs/heads/x", received=1),
        reviewed(),
        ran(),
        scanned(),
        inventory(),
    )
    assert judge(shadowing(*rules), *items).verdict is Verdict.ALLOW
    without = {finding.rule for finding in judge(policy(), *items).findings if finding.outcome is not Outcome.PASS}
    assert without == {"BLD-1"}, "all in force, the other build is the better one"


def test_a_rule_in_shadow_is_judged_as_if_all_were_in_force() -> None:
    # Promoted, the build on the right branch would answer for both rules.
    items = (built(received=1), built_shared(received=2, ref="refs/heads/x"), *good()[1:])
    decision = judge(shadowing("SRC-1", "BLD-2"), *items)
    assert [finding.would for finding in (*decision.of("SRC-1"), *decision.of("BLD-2"))] == [Outcome.PASS] * 2


def test_a_rule_in_shadow_that_raises_lets_the_verdict_be() -> None:
    def broken(parameters: Any, case: Case) -> Judgement:
        raise RuntimeError("boom")

    shadowed = shadowing("VUL-1")
    environment = shadowed.environments["release"]
    rules = tuple(
        replace(rule, kind=replace(rule.kind, judge=broken)) if rule.id == "VUL-1" else rule
        for rule in environment.rules
    )
    hurt = replace(shadowed, environments={"release": replace(environment, rules=rules)})
    decision = evaluate(hurt, facts(*good()), now=NOW)
    assert decision.verdict is Verdict.ALLOW
    assert decision.of("VUL-1")[0].would is Outcome.UNKNOWN


def test_a_rule_in_shadow_neither_earns_a_level_nor_takes_one_away() -> None:
    items = (built(), reviewed(), ran(), BAD_SCAN, inventory())
    shadowed = shadowing("VUL-1", "SBM-1")
    decision = judge(shadowed, *items)
    assert matrix(shadowed, decision)["artifact"] is None
    only_better = shadowing("VUL-1")
    decision = judge(only_better, *items)
    assert matrix(only_better, decision)["artifact"] == "minimum"
    assert "AUTHORITY_ARTIFACT_MINIMUM" in verified_levels(only_better, facts(*items), decision)
    minimum = shadowing("SBM-1")
    decision = judge(minimum, built(), reviewed(), ran(), scanned(), inventory(components=0))
    assert matrix(minimum, decision)["artifact"] == "better", "the failing rule at minimum is in shadow"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a day without shadow": ({"effectiveOn": LATER}, "effectiveOn"),
    "a day of a rule in force": ({"mode": "enforce", "effectiveOn": LATER}, "effectiveOn"),
    "another mode": ({"mode": "warn"}, "mode"),
    "no mode": ({"mode": ["shadow"]}, "mode"),
    "a day that is none": ({"mode": "shadow", "effectiveOn": "soon"}, "effectiveOn"),
}


@pytest.mark.parametrize(("changes", "key"), REFUSED.values(), ids=REFUSED)
def test_a_mode_is_read_strictly(changes: dict[str, Any], key: str) -> None:
    value = document()
    value["rules"][-1].update(changes)
    with pytest.raises(PolicyError) as refused:
        parse_policy(encode(value))
    assert refused.value.detail.startswith(f"rules[6].{key}: ")


def test_an_environment_needs_a_rule_in_force() -> None:
    with pytest.raises(PolicyError, match=r"^environments\.release\.require: every rule is in shadow"):
        shadowing(*(rule["id"] for rule in document()["rules"]))


def test_lint_says_that_the_day_came() -> None:
    def remarked(day: str) -> list[str]:
        remarks = lint(shadowing("VUL-1", effectiveOn=day), now=NOW, covered=())
        return [remark.path for remark in remarks if remark.path.startswith("rules.")]

    assert remarked("2026-11-01T00:00:00Z") == ["rules.VUL-1.effectiveOn"]
    assert remarked(LATER) == []
