# SPDX-License-Identifier: Apache-2.0
"""Ready policies with staging and production: their own tests, what each level adds, and the cells of deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import pytest
import yaml

from policy.decision import Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.levels import matrix, verified_levels
from policy.library import Level, Stages, render, render_tests
from policy.schema import PolicyError
from policy.testing.report import by_rule, examine, table
from policy.testing.run import Ran, run_trial
from policy.testing.suite import Suite, no_files, parse_suite
from tests.policy.factory import encode
from tests.policy.test_library import ARGUMENTS

LEVELS: tuple[Level, ...] = get_args(Level)
STAGES = Stages(approvers="release-managers", key="prod")


@cache
def document(level: Level) -> bytes:
    return render(level, **ARGUMENTS, stages=STAGES)


@cache
def ready(level: Level) -> Policy:
    return parse_policy(document(level))


def suite(level: Level, *trials: Mapping[str, Any]) -> Suite:
    """The policy's own tests, or these trials with its fixtures."""
    tests = render_tests(level, repository=ARGUMENTS["repository"], stages=STAGES)
    value = yaml.safe_load(tests)
    value["at"] = "2026-11-23T12:00:00Z"
    value["trials"] = [*trials] or value["trials"]
    return parse_suite(encode(value), name=level, policy=ready(level), load_facts=no_files)


def stopping(ran: Ran) -> dict[str, Outcome]:
    return {finding.rule: finding.outcome for finding in ran.decision.findings if finding.outcome is not Outcome.PASS}


@pytest.mark.parametrize("level", LEVELS)
def test_a_policy_with_stages_passes_its_tests_with_every_rule_covered_and_no_mutant_left(level: Level) -> None:
    found = examine(ready(level), document(level), [suite(level)])
    assert found.good, table(found)
    counts = {rule: len(those) for rule, those in by_rule(found.mutants).items()}
    assert all(counts[each.rule] >= 6 for each in found.coverage), counts


@pytest.mark.parametrize("level", LEVELS)
def test_the_release_demands_the_same_with_stages_and_without(level: Level) -> None:
    alone = parse_policy(render(level, **ARGUMENTS))
    assert ready(level).environments["release"].rules == alone.environments["release"].rules


@pytest.mark.parametrize("level", LEVELS)
def test_each_stage_demands_all_of_the_one_before(level: Level) -> None:
    stages = [*ready(level).environments.values()]
    assert [stage.name for stage in stages] == ["release", "staging", "production"]
    for earlier, later in pairwise(stages):
        assert {*earlier.require} < {*later.require}
    assert [stage.key for stage in stages] == ["release", "release", "prod"]


HOSTILE: dict[str, dict[str, Any]] = {
    "a group that ends its place": {"stages": Stages(approvers="a: 1}}")},
    "a key with a newline": {"stages": Stages(key="k\nformats: []")},
    "a first stage called staging": {"stages": STAGES, "environment": "staging"},
    "a first stage called production": {"stages": STAGES, "environment": "production"},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_refuses_values_that_make_no_stages(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        render("better", **{**ARGUMENTS, **changes})


# What is good for one level, before the next. Each policy states the class of its builder, so isolation is not told
# apart here but where evidence names the builder.

MISSING: dict[tuple[Level, Level], dict[str, str]] = {
    ("minimum", "better"): {
        "SRC-2": "no source attestation for commit",
        "SRC-6": "the provenance does not name the workflow that built",
        "VUL-1": "no verified scan of this digest",
    },
    ("better", "strong"): {
        "BLD-5": "does not say at which commit its workflow stands",
        "BLD-6": "the provenance names no build log",
        "BLD-7": "does not say which secrets the build could reach",
        "SRC-2": "SLSA_SOURCE_TWO_PARTY_REVIEWED is not stated",
        "SRC-3": "administrators are free of the protection",
        "SRC-8": "0 of 1 independent approvals of the head commit by administrators",
        "ART-3": "no verified signature of this digest",
    },
}


@pytest.mark.parametrize(("level", "above"), MISSING, ids=[f"{lower} before {above}" for lower, above in MISSING])
def test_the_next_level_denies_what_was_good_and_says_exactly_what_is_missing(level: Level, above: Level) -> None:
    (good,) = (trial for trial in suite(level).trials if trial.name == "a good release")
    assert run_trial(ready(level), good).decision.verdict is Verdict.ALLOW
    ran = run_trial(ready(above), good)
    assert ran.decision.verdict is Verdict.DENY
    assert stopping(ran).keys() == MISSING[level, above].keys()
    for rule, words in MISSING[level, above].items():
        (finding,) = ran.decision.of(rule)
        assert words in finding.title
        assert ": signer " in finding.remedy
    earned = matrix(ready(above), ran.decision)["source"]
    assert earned is None or LEVELS.index(earned) < LEVELS.index(above)


@pytest.mark.parametrize(("level", "below"), [("strong", "better"), ("better", "minimum")])
def test_what_is_good_for_a_level_is_good_for_those_below(level: Level, below: Level) -> None:
    for name in ("a good release", "promoted to staging"):
        (good,) = (trial for trial in suite(level).trials if trial.name == name)
        assert run_trial(ready(below), good).decision.verdict is Verdict.ALLOW


# The three cells of deployment

APPROVERS = [STAGES.approvers]
RELEASED = {"environment": "release", "at": "26h ago"}
ONE = [{"person": "person:approver", "groups": APPROVERS}]
Ledger = Mapping[str, Any]
CELLS: dict[Level, tuple[Ledger, Sequence[str], Ledger, Mapping[str, Outcome], str]] = {
    # level: the ledger that is no better than it has to be, what else is not there; the change that loses it, by what
    "minimum": (
        {
            "allowed": [RELEASED, {"environment": "staging", "at": "1m ago"}],
            "approvals": [{**ONE[0], "signed": False}],
        },
        ["documents", "ledger.break_glass"],
        {"approvals": []},
        {"APR-1": Outcome.WAITING},
        "waiting for approval: 1 of release-managers",
    ),
    "better": (
        {"allowed": [RELEASED, {"environment": "staging", "at": "2h ago"}], "approvals": ONE},
        ["ledger.break_glass"],
        {"approvals": [{**ONE[0], "answers": "e" * 64}]},
        {"APR-2": Outcome.WAITING},
        "person:approver saw other answers",
    ),
    "strong": (
        {},
        [],
        {
            "break_glass": {
                "debts": [{"sha256": "d" * 64, "leaf": "5" * 64, "environment": "production", "at": "3d ago"}]
            }
        },
        {"BRK-1": Outcome.FAIL},
        "unreviewed for more than 2d",
    ),
}
ABOVE: dict[Level, dict[str, Outcome]] = {
    "minimum": {"SOK-2": Outcome.FAIL, "RBK-1": Outcome.UNKNOWN, "APR-2": Outcome.UNKNOWN},
    "better": {"SOK-2": Outcome.FAIL, "APR-2": Outcome.WAITING, "BRK-1": Outcome.UNKNOWN},
}
"""The rules by which the next level's deployment control stops what is enough for this one."""


def promoted(level: Level, ledger: Ledger, without: Sequence[str], *, on: Level) -> Ran:
    """The evidence of `level` and this ledger, judged for production by the ready policy `on`."""
    given: dict[str, Any] = {"fixture": "promoted", "change": {"ledger": dict(ledger)}}
    if without:
        given["without"] = [*without]
    trial = {"name": "cell", "environment": "production", "given": given, "expect": "deny"}
    return run_trial(ready(on), suite(level, trial).trials[0])


@pytest.mark.parametrize("level", LEVELS)
def test_a_cell_of_deployment_is_earned(level: Level) -> None:
    enough, without, *_ = CELLS[level]
    ran = promoted(level, enough, without, on=level)
    assert ran.decision.verdict is Verdict.ALLOW, stopping(ran)
    assert matrix(ready(level), ran.decision)["deployment"] == level
    levels = verified_levels(ready(level), ran.trial.facts, ran.decision)
    assert f"AUTHORITY_DEPLOYMENT_{level}".upper() in levels


@pytest.mark.parametrize("level", LEVELS)
def test_a_cell_of_deployment_is_lost_by_exactly_this_control(level: Level) -> None:
    enough, without, lost, by, words = CELLS[level]
    ran = promoted(level, {**enough, **lost}, [each for each in without if each != "ledger.break_glass"], on=level)
    assert ran.decision.verdict is not Verdict.ALLOW
    assert stopping(ran) == by
    for rule in by:
        (finding,) = ran.decision.of(rule)
        assert finding.control == "deployment"
        assert words in f"{finding.title} {finding.found}"
    earned = matrix(ready(level), ran.decision)
    before = matrix(ready(level), promoted(level, enough, without, on=level).decision)
    assert {control for control in earned if earned[control] != before[control]} == {"deployment"}


@pytest.mark.parametrize(("level", "above"), [*pairwise(LEVELS)], ids=str)
def test_the_next_level_of_deployment_says_what_is_missing(level: Level, above: Level) -> None:
    enough, without, *_ = CELLS[level]
    # The evidence is the next level's, so that nothing but the deployment can be wrong.
    ran = promoted(above, enough, without, on=above)
    assert stopping(ran) == ABOVE[level]
