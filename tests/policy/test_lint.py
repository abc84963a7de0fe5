# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from policy.document import parse_policy
from policy.explain import explain, heading
from policy.lint import lint
from policy.testing.run import Coverage
from tests.policy.factory import NOW, document, encode, pem

Value = dict[str, Any]


def remarks(change: Callable[[Value], object] = lambda _: None, **options: Any) -> list[str]:
    value = copy.deepcopy(document())
    # The factory trusts more than its rules need.
    del value["trust"]["keys"]["stranger"]
    change(value)
    found = lint(parse_policy(encode(value)), **{"now": NOW, "covered": (), **options})
    assert all(remark.remedy for remark in found)
    return [f"{remark.severity} {remark.path}: {remark.what}" for remark in found]


def test_a_good_policy_has_no_remarks() -> None:
    assert remarks() == []


CASES: dict[str, tuple[Callable[[Value], object], str]] = {
    "an expired document": (
        lambda value: value["metadata"].update(expires="2026-11-23T12:00:00Z"),
        "error metadata.expires: the policy expired at 2026-11-23T12:00:00Z",
    ),
    "a document that expires within 30 days": (
        lambda value: value["metadata"].update(expires="2026-12-23T12:00:00Z"),
        "warning metadata.expires: the policy expires at 2026-12-23T12:00:00Z",
    ),
    "a key that no entry names": (
        lambda value: value["trust"]["keys"].update(idle=pem("idle")),
        "warning trust.keys.idle: no trust entry names it",
    ),
    "an entry that no rule accepts": (
        lambda value: value["trust"]["scanners"].update(other={"key": "other"}),
        "warning trust.scanners.other: no rule accepts this entry by name",
    ),
    "a builder that no rule accepts": (
        lambda value: value["rules"][0].update(builders=["ci"]),
        "warning trust.builders.shared-ci: no rule accepts this entry by name",
    ),
    "a rule that no environment requires": (
        lambda value: value["environments"]["release"].update(require=["BLD-1"]),
        "warning rules.BLD-2: no environment requires this rule",
    ),
    "a class that no builder has": (
        lambda value: value["rules"][1].update(atLeast="hardened"),
        "error rules.BLD-2: the rule can never pass: no trusted builder is hardened or better",
    ),
    "provenance that may be waived": (
        lambda value: value["rules"][0].update(waivable=True),
        (
            "warning rules.BLD-1.waivable: where this rule is waived nothing says who built the digest, and every "
            "other rule about the build and its source rests on that"
        ),
    ),
    "limits of waivers where none counts": (
        lambda value: value.update(limits={"maxRenewals": 2}),
        "warning limits: limits of waivers, and no rule is waivable",
    ),
}


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES)
def test_remarks_on(change: Callable[[Value], object], expected: str) -> None:
    assert expected in remarks(change)


def test_a_waivable_rule_and_its_limits_are_no_remark() -> None:
    def change(value: Value) -> None:
        value["rules"][5]["waivable"] = True
        value["limits"] = {"maxRenewals": 2}

    assert remarks(change) == []


def test_expiry_in_more_than_30_days_is_no_remark() -> None:
    assert remarks(lambda value: value["metadata"].update(expires="2026-12-23T12:00:01Z")) == []


def test_a_policy_without_an_end_is_no_remark() -> None:
    assert remarks(lambda value: value["metadata"].pop("expires"), now=NOW + timedelta(days=10_000)) == []


def test_remarks_on_missing_tests() -> None:
    assert remarks(covered=None) == ["warning tests: no tests stand beside the policy"]
    assert remarks(covered=(), failed=2) == ["error tests: 2 trials beside the policy did not end as expected"]
    half = Coverage(rule="VUL-1", passes=True, fails=False, absent=True)
    assert remarks(covered=(half,)) == ["warning rules.VUL-1: no trial expects fail of demo's rule"]


def test_explains_every_rule_of_an_environment_with_its_patterns() -> None:
    value = document()
    value["environments"]["staging"] = {"require": ["BLD-1"], "key": "staging", "formats": ["vsa"]}
    value["rules"][5]["waivable"] = True
    policy = parse_policy(encode(value))
    assert [each.rule for each in explain(policy, value) if each.text.endswith("Two people may waive it.")] == ["VUL-1"]
    every = explain(policy, value)
    assert [each.rule for each in every if each.environment == "staging"] == ["BLD-1"]
    assert [each.rule for each in explain(policy, value, environment="release")] == [rule.id for rule in policy.rules]
    refs = next(each for each in every if each.rule == "SRC-1")
    assert refs.text.startswith("Source repository and ref: repository github.com/acme/shop; ref ")
    assert refs.patterns == (("refs/tags/v*", "^refs/tags/v[^/]*$"),)
    assert (
        heading(policy, "staging") == "demo v1 signs for staging with the key staging (vsa) when all of 1 rules pass."
    )
