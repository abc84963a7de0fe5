# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from policy.decision import Outcome
from policy.document import parse_policy
from policy.facts import Item
from tests.policy.factory import ago, built, built_shared, document, encode, inventory, policy, ran, reviewed, sole

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN

Case = tuple[tuple[Item, ...], Outcome, str]

PROVENANCE: dict[str, Case] = {
    "provenance by a trusted builder passes": ((built(),), PASS, "has provenance by a trusted builder"),
    "no evidence at all is unknown": ((), UNKNOWN, "cannot tell: no verified provenance of this digest"),
    "evidence of other kinds is no provenance": ((ran(), inventory()), UNKNOWN, "no verified provenance"),
    "provenance of another digest never counts": ((built(covers=(), bound="none"),), UNKNOWN, "no verified provenance"),
    "provenance that covers nothing never counts": ((built(covers=()),), UNKNOWN, "no verified provenance"),
    "provenance bound through the source never counts": ((built(bound="source"),), UNKNOWN, "no verified provenance"),
    "submitted provenance never counts": ((built(attested=False, key=None),), UNKNOWN, "no verified provenance"),
    "a trusted builder's key with another builder id fails": (
        (built(builder=None, builder_id="https://evil.invalid"),),
        FAIL,
        "the key is trusted, the builder id differs",
    ),
    "a trusted builder id with another key fails": (
        (built(builder=None, key="stranger"),),
        FAIL,
        "the builder id is trusted, the key differs",
    ),
    "builder A's key naming builder B fails": (
        (built(builder=None, builder_id="https://dev.invalid/shared"),),
        FAIL,
        "the builder id differs",
    ),
    "neither key nor builder id trusted fails": (
        (built(builder=None, key="stranger", builder_id="https://evil.invalid"),),
        FAIL,
        "the key and the builder id differ",
    ),
    "facts that name a builder whose key did not sign fail": ((built(key="stranger"),), FAIL, "the key differs"),
    "facts that name a builder of another id fail": (
        (built(builder_id="https://evil.invalid"),),
        FAIL,
        "the builder id differs",
    ),
    "facts that name a builder that is not there fail": ((built(builder="ghost"),), FAIL, ""),
    "another build type fails": ((built(build_type="https://evil.invalid/t"),), FAIL, "the build type "),
    "another workflow fails": ((built(workflow=".github/workflows/ci.yml"),), FAIL, "the workflow "),
    "a workflow that is not named is unknown": ((built(workflow=None),), UNKNOWN, "does not name its workflow"),
    "an external parameter outside the list fails": (
        (built(parameters=("inputs.debug", "workflow.ref")),),
        FAIL,
        'external parameters outside the list: "inputs.debug"',
    ),
    "fewer external parameters than listed pass": ((built(parameters=("workflow.ref",)),), PASS, ""),
    "a parameter below a listed one is another one": ((built(parameters=("workflow.ref.x",)),), FAIL, "outside"),
    "a build older than the policy accepts fails": ((built(started=None, finished=ago(days=8)),), FAIL, "8d old"),
    "a build dated in the future fails": ((built(finished=ago(minutes=-3)),), FAIL, "lies in the future"),
    "a build dated within the skew passes": ((built(finished=ago(minutes=-1)),), PASS, ""),
    "a build that is just old enough passes": ((built(finished=ago(days=7)),), PASS, ""),
    "a build that states no time passes without maxAge": ((built(started=None, finished=None),), PASS, ""),
    "untrusted beside trusted passes": (
        (built(), built("evil", builder=None, key="stranger", received=9)),
        PASS,
        "",
    ),
    "one satisfying build among trusted ones passes": (
        (built(), built("other", build_type="https://x.invalid", received=9)),
        PASS,
        "",
    ),
    "a trusted build that does not satisfy outranks untrusted ones in the text": (
        (built(build_type="https://x.invalid"), built("evil", builder=None, key="stranger")),
        FAIL,
        "the build type",
    ),
}


@pytest.mark.parametrize(("items", "outcome", "title"), PROVENANCE.values(), ids=PROVENANCE)
def test_provenance(items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("BLD-1"), *items)
    assert finding.outcome is outcome
    assert title in finding.title


DEMANDS: dict[str, tuple[dict[str, Any], Item, Outcome, str]] = {
    "another accepted builder": ({"builders": ["shared-ci"]}, built_shared(), PASS, ""),
    "a trusted builder that the rule does not accept": (
        {"builders": ["ci"]},
        built_shared(),
        FAIL,
        "the builder is shared-ci, which this rule does not accept",
    ),
    "any workflow where none is named": ({"workflows": None}, built(workflow=None), PASS, ""),
    "one of two workflows": ({"workflows": ["a/*.yml", ".github/workflows/*.yml"]}, built(), PASS, ""),
    "a workflow by pattern": ({"workflows": [".github/workflows/re*.yml"]}, built(), PASS, ""),
    "no external parameter at all": (
        {"parameters": {"allow": []}},
        built(parameters=("a",)),
        FAIL,
        'outside the list: "a"',
    ),
    "all parameters below a name": (
        {"parameters": {"allow": ["inputs.*"]}},
        built(parameters=("inputs.a.b",)),
        PASS,
        "",
    ),
    "a name is no parameter below it": (
        {"parameters": {"allow": ["inputs.*"]}},
        built(parameters=("inputs",)),
        FAIL,
        "",
    ),
    "a longer name is no parameter below": (
        {"parameters": {"allow": ["inputs.*"]}},
        built(parameters=("inputs2.a",)),
        FAIL,
        "",
    ),
    "maxAge narrower than the default": ({"maxAge": "1h"}, built(), FAIL, "4h old"),
    "maxAge wider than the default": ({"maxAge": "30d"}, built(finished=ago(days=20)), PASS, ""),
    "maxAge and the start alone": ({"maxAge": "30d"}, built(finished=None), PASS, ""),
    "maxAge and no time": ({"maxAge": "30d"}, built(started=None, finished=None), UNKNOWN, "when the build ran"),
}


@pytest.mark.parametrize(("changes", "item", "outcome", "title"), DEMANDS.values(), ids=DEMANDS)
def test_provenance_as_demanded(changes: dict[str, Any], item: Item, outcome: Outcome, title: str) -> None:
    finding = sole(policy("BLD-1", **changes), item)
    assert finding.outcome is outcome
    assert title in finding.title


def test_one_of_two_accepted_testers_is_enough() -> None:
    value = document()
    value["trust"]["testers"]["lab"] = {"key": "scanner"}
    value["rules"] = [{**rule, "testers": ["lab", "ci"]} for rule in value["rules"] if rule["id"] == "TST-1"]
    judged = parse_policy(encode(value))
    assert sole(judged, ran()).outcome is PASS
    assert sole(judged, ran(tester="lab", key="scanner")).outcome is PASS
    assert sole(judged, ran(tester="lab")).outcome is FAIL


def test_a_finding_says_what_was_required_found_counted_and_who_can_fix_it() -> None:
    item = built(builder=None, key="stranger")
    finding = sole(policy("BLD-1"), item)
    assert "provenance by ci or shared-ci" in finding.required
    assert finding.found == 'builder id "https://dev.invalid/builder" signed with key stranger'
    assert finding.evidence == (item.origin.digest,)
    assert (finding.bound, finding.subjects) == ("subject", (0,))
    assert "the pipeline's owner" in finding.remedy
    assert "signer sign" in finding.remedy


def test_text_of_the_evidence_is_escaped_and_cut() -> None:
    finding = sole(policy("BLD-1"), built(builder=None, builder_id='"\x1b[2J\n\u202e' + "x" * 5000))
    assert finding.found.isascii()
    assert finding.found.isprintable()
    assert len(finding.found) < 500


ISOLATION: dict[str, tuple[str, tuple[Item, ...], Outcome, str]] = {
    "the same class passes": ("ephemeral", (built(),), PASS, "in the required isolation"),
    "a better class passes": ("dedicated", (built(),), PASS, ""),
    "a weaker class fails": ("ephemeral", (built_shared(),), FAIL, "the builder is shared"),
    "a class that the facts claim is not believed": (
        "ephemeral",
        (built_shared(isolation="hardened"),),
        FAIL,
        "shared",
    ),
    "no provenance is unknown": ("ephemeral", (), UNKNOWN, "no verified provenance"),
    "no trusted builder fails": ("ephemeral", (built(key="stranger"),), FAIL, "the key differs"),
    "the better one of two builds passes": ("ephemeral", (built(), built_shared(received=9)), PASS, ""),
    "a review says nothing of isolation": ("ephemeral", (reviewed(),), UNKNOWN, ""),
}


@pytest.mark.parametrize(("at_least", "items", "outcome", "title"), ISOLATION.values(), ids=ISOLATION)
def test_isolation(at_least: str, items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("BLD-2", atLeast=at_least), *items)
    assert finding.outcome is outcome
    assert title in finding.title


TESTS: dict[str, tuple[dict[str, Any], tuple[Item, ...], Outcome, str]] = {
    "passed tests pass": ({}, (ran(),), PASS, "passed its tests"),
    "no result is unknown": ({}, (built(),), UNKNOWN, "cannot tell: no verified test result of this digest"),
    "a result about the source never counts": ({}, (ran(bound="source"),), UNKNOWN, "no verified test result"),
    "a submitted result never counts": ({}, (ran(attested=False, key=None),), UNKNOWN, "no verified test result"),
    "a result by no tester fails": ({}, (ran(tester=None, key="scanner"),), FAIL, "the key is no accepted tester's"),
    "a result by a key that is not the tester's fails": ({}, (ran(key="scanner"),), FAIL, "no accepted tester's"),
    "failed tests fail": ({}, (ran(failed=2, result="FAILED"),), FAIL, "2 failed"),
    "failed tests with the result PASSED fail": ({}, (ran(failed=1),), FAIL, "1 failed"),
    "the result FAILED without a count fails": (
        {"maxFailed": 5},
        (ran(result="FAILED"),),
        FAIL,
        'the result is "FAILED"',
    ),
    "failures within the limit pass": ({"maxFailed": 2}, (ran(failed=2, result="FAILED"),), PASS, ""),
    "failures above the limit fail": ({"maxFailed": 2}, (ran(failed=3, result="FAILED"),), FAIL, "3 failed"),
    "a warning fails": ({}, (ran(result="WARNED"),), FAIL, "WARNED"),
    "a warning passes where it is accepted": ({"acceptWarned": True}, (ran(result="WARNED"),), PASS, ""),
    "an unknown result fails": ({}, (ran(result="passed"),), FAIL, ""),
    "no test at all is unknown": ({}, (ran(passed=0),), UNKNOWN, "lists 0 passed tests"),
    "too few tests fail": ({"minPassed": 200}, (ran(),), FAIL, "lists 128 passed tests"),
    "no test passes only where the policy says so": ({"minPassed": 0}, (ran(passed=0),), PASS, ""),
    "another suite is unknown": (
        {},
        (ran(suites=("lint",)),),
        UNKNOWN,
        'cannot tell: no test result for suite "unit"',
    ),
    "a result that names no suite is unknown": ({}, (ran(suites=()),), UNKNOWN, 'does not say that suite "unit" ran'),
    "a failed result that names no suite fails": ({}, (ran(suites=(), failed=1),), FAIL, "1 failed"),
    "any suite passes where none is named": ({"suites": None}, (ran(suites=()),), PASS, ""),
    "two suites in one result": ({"suites": ["unit", "e2e"]}, (ran(suites=("e2e", "unit")),), PASS, ""),
    "two suites in two results": (
        {"suites": ["unit", "e2e"]},
        (ran(), ran("e2e", suites=("e2e",), received=2)),
        PASS,
        "",
    ),
    "one of two suites is missing": ({"suites": ["unit", "e2e"]}, (ran(),), UNKNOWN, '"e2e"'),
    "one of two suites failed": (
        {"suites": ["unit", "e2e"]},
        (ran(), ran("e2e", suites=("e2e",), failed=1, received=2)),
        FAIL,
        "1 failed",
    ),
    "a later failure outranks an earlier pass": ({}, (ran(), ran("later", failed=1, received=2)), FAIL, "1 failed"),
    "a later pass outranks an earlier failure": ({}, (ran("earlier", failed=1), ran(received=2)), PASS, ""),
    "results received together all have to pass": ({}, (ran(), ran("twin", failed=1)), FAIL, "1 failed"),
    "a later failure of another suite does not matter": (
        {},
        (ran(), ran("later", suites=("e2e",), failed=1, received=2)),
        PASS,
        "",
    ),
    "a later failure that names no suite matters": (
        {},
        (ran(), ran("later", suites=(), failed=1, received=2)),
        FAIL,
        "",
    ),
    "an untrusted failure does not outweigh": ({}, (ran(), ran("evil", tester=None, failed=9, received=9)), PASS, ""),
    "an untrusted pass does not help": ({}, (ran(failed=1), ran("evil", tester=None, received=9)), FAIL, "1 failed"),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "title"), TESTS.values(), ids=TESTS)
def test_tests_passed(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("TST-1", **changes), *items)
    assert finding.outcome is outcome
    assert title in finding.title


def test_a_test_finding_shows_result_counts_and_suites() -> None:
    assert sole(policy("TST-1"), ran()).found == '"PASSED" by ci: 128 passed, 0 failed in "unit"'
    assert sole(policy("TST-1", suites=None), ran(suites=())).found == '"PASSED" by ci: 128 passed, 0 failed'
