# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from policy.decision import Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.facts import Item
from policy.levels import matrix
from policy.library import Level, render
from policy.schema import PolicyError
from tests.policy.factory import ago, built, good, inventory, judge, pem, ran, reviewed, scanned, vulnerability

LEVELS: tuple[Level, ...] = get_args(Level)

ARGUMENTS: dict[str, Any] = {
    "name": "demo",
    "builder_id": "https://dev.invalid/builder",
    "builder_key": pem("builder"),
    "scanner_key": pem("scanner"),
    "source_key": pem("source"),
    "source_verifier": "https://dev.invalid/source",
    "repository": "github.com/acme/shop",
}


def ready(level: Level, **changes: Any) -> Policy:
    return parse_policy(render(level, **{**ARGUMENTS, **changes}))


def fitted(*items: Item) -> tuple[Item, ...]:
    """The factory's evidence under the names that the templates give their trust entries."""
    names = {
        "builder": "builder",
        "tester": "builder",
        "producer": "builder",
        "scanner": "scanner",
        "collector": "source",
        "signer": "builder",
    }
    renamed = []
    for item in items:
        entry: dict[str, Any] = {field: name for field, name in names.items() if getattr(item, field, None) is not None}
        renamed.append(replace(item, **entry))
    return tuple(renamed)


@pytest.mark.parametrize("level", LEVELS)
def test_good_evidence_is_allowed(level: Level) -> None:
    decision = judge(ready(level), *fitted(*good()))
    assert decision.verdict is Verdict.ALLOW, [finding.title for finding in decision.findings]


@pytest.mark.parametrize("level", LEVELS)
def test_no_evidence_is_denied(level: Level) -> None:
    decision = judge(ready(level))
    assert {finding.outcome for finding in decision.findings} == {Outcome.UNKNOWN}


EARNED = {
    "minimum": {"source": "minimum", "build": "minimum", "artifact": "minimum", "deployment": None},
    "better": {"source": "better", "build": "better", "artifact": "better", "deployment": None},
    "strong": {"source": "strong", "build": "strong", "artifact": "strong", "deployment": None},
}


@pytest.mark.parametrize("level", LEVELS)
def test_good_evidence_earns_the_level_in_every_control_that_it_reaches(level: Level) -> None:
    policy = ready(level)
    assert matrix(policy, judge(policy, *fitted(*good()))) == EARNED[level]


DENIED: dict[str, tuple[Level, Item, str]] = {
    "minimum: another builder": ("minimum", built(builder_id="https://evil.invalid"), "BLD-1"),
    "minimum: another build type": ("minimum", built(build_type="https://evil.invalid"), "BLD-1"),
    "minimum: a build with an input": ("minimum", built(parameters=("inputs.debug",)), "BLD-1"),
    "minimum: a personal branch": ("minimum", built(ref="refs/heads/dana/test"), "SRC-1"),
    "minimum: a fork": ("minimum", built(repository="github.com/dana/shop"), "SRC-1"),
    "minimum: failed tests": ("minimum", ran(failed=1, result="FAILED"), "TST-1"),
    "minimum: an empty inventory": ("minimum", inventory(components=0), "SBM-1"),
    "better: a high vulnerability": ("better", scanned(vulnerabilities=(vulnerability("high"),)), "VUL-1"),
    "better: an unrated vulnerability": ("better", scanned(vulnerabilities=(vulnerability("unknown"),)), "VUL-1"),
    "better: a scan of last week": ("better", scanned(finished=ago(days=6), database_updated=ago(days=6)), "VUL-1"),
    "better: an unprotected branch": ("better", reviewed(levels=("SLSA_SOURCE_LEVEL_2",)), "SRC-2"),
    "better: a review of another commit": ("better", reviewed(commit="f" * 40), "SRC-2"),
    "strong: one reviewer": ("strong", reviewed(levels=("SLSA_SOURCE_LEVEL_3",)), "SRC-2"),
    "strong: a medium vulnerability": ("strong", scanned(vulnerabilities=(vulnerability("medium"),)), "VUL-1"),
    "strong: a scan of the day before yesterday": (
        "strong",
        scanned(finished=ago(days=2), database_updated=ago(days=2)),
        "VUL-1",
    ),
    "strong: a build of last week": ("strong", built(started=None, finished=ago(days=6)), "BLD-1"),
}


@pytest.mark.parametrize(("level", "changed", "rule"), DENIED.values(), ids=DENIED)
def test_denies(level: Level, changed: Item, rule: str) -> None:
    items = [changed if type(item) is type(changed) else item for item in good()]
    decision = judge(ready(level), *fitted(*items))
    assert decision.verdict is Verdict.DENY
    assert rule in [finding.rule for finding in decision.findings if finding.outcome is not Outcome.PASS]


def test_the_caller_names_environment_key_build_types_and_parameters() -> None:
    policy = ready(
        "minimum", environment="production", key="prod-1", build_types=["https://x.invalid/t"], parameters=["a", "b.*"]
    )
    assert list(policy.environments) == ["production"]
    assert policy.environments["production"].key == "prod-1"
    assert policy.rules[0].parameters.build_types == ("https://x.invalid/t",)
    assert policy.rules[0].parameters.allow == ("a", "b.*")


HOSTILE: dict[str, dict[str, Any]] = {
    "a name that ends its place": {"name": "a, version: 9}\nrules: []"},
    "an environment that ends its place": {"environment": "x: {require: []}"},
    "a key name with a newline": {"key": "release\nformats: []"},
    "a PEM with more lines": {"builder_key": pem("builder") + "  builders:\n"},
    "a repository with a scheme": {"repository": "https://github.com/acme/shop"},
    "no build type": {"build_types": []},
    "the same key for builder and scanner": {"scanner_key": pem("builder")},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_refuses_values_that_make_no_policy(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        render("better", **{**ARGUMENTS, **changes})


@pytest.mark.parametrize(
    "value", ['"', "'", "x # y", "{a: b}", "$name", "${key}", "*a", "&b", "!!str", "no", "\\", "é"]
)
def test_a_value_stays_a_value(value: str) -> None:
    policy = ready("better", builder_id=value, source_verifier=value)
    assert policy.trust.builders["builder"].id == value
    assert policy.trust.collectors["source"].verifier == value
