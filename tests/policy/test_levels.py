# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policy.decision import Verdict
from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import Facts, Item
from policy.levels import matrix, verified_levels
from tests.policy.factory import (
    NOW,
    built,
    built_shared,
    document,
    encode,
    facts,
    good,
    inventory,
    policy,
    ran,
    reviewed,
    scanned,
)

ALL = {"source": "better", "build": "better", "artifact": "better", "deployment": None}
TWO_PARTY = "SLSA_SOURCE_TWO_PARTY_REVIEWED"

Edit = Callable[[dict[str, Any]], object]


def levels_of(known: Facts, edit: Edit = lambda _: None) -> tuple[str, ...]:
    value = document()
    edit(value)
    judged = parse_policy(encode(value))
    return verified_levels(judged, known, evaluate(judged, known, now=NOW))


MATRIX: dict[str, tuple[tuple[Item, ...], dict[str, str | None]]] = {
    "all evidence earns what the policy demands": (good(), ALL),
    "nothing earns nothing": ((), dict.fromkeys(ALL)),
    "a failed rule at better leaves minimum": (
        (built(), reviewed(levels=()), ran(), scanned(), inventory()),
        {**ALL, "source": "minimum"},
    ),
    "a failed rule at minimum leaves nothing, whatever passed above": (
        (built(ref="refs/heads/x"), reviewed(), ran(), scanned(), inventory()),
        {**ALL, "source": None},
    ),
    "unknown is never a pass": ((built(), reviewed(), ran(), scanned()), {**ALL, "artifact": None}),
    "one of two rules of a level is not enough": (
        (built(), reviewed(), scanned(), inventory()),
        {**ALL, "build": None},
    ),
}


@pytest.mark.parametrize(("items", "expected"), MATRIX.values(), ids=MATRIX)
def test_matrix(items: tuple[Item, ...], expected: dict[str, str | None]) -> None:
    assert matrix(policy(), evaluate(policy(), facts(*items), now=NOW)) == expected


def test_a_rule_that_the_environment_does_not_require_earns_nothing() -> None:
    value = document()
    value["environments"]["release"]["require"] = ["SRC-1", "BLD-1", "TST-1"]
    judged = parse_policy(encode(value))
    decision = evaluate(judged, facts(*good()), now=NOW)
    assert decision.verdict is Verdict.ALLOW
    assert matrix(judged, decision) == {"source": "minimum", "build": "minimum", "artifact": None, "deployment": None}


def test_a_level_without_a_rule_is_not_earned() -> None:
    value = document()
    value["rules"] = [rule for rule in value["rules"] if rule["id"] == "BLD-2"]
    judged = parse_policy(encode(value))
    assert matrix(judged, evaluate(judged, facts(built()), now=NOW))["build"] == "better"
    assert matrix(judged, evaluate(judged, facts(), now=NOW))["build"] is None


def test_one_subject_that_fails_takes_the_level_from_all() -> None:
    scans = (scanned("one", covers=(0,)), scanned("two", covers=(1,), database_updated=None))
    judged = policy("VUL-1")
    assert matrix(judged, evaluate(judged, facts(*scans, subjects=2), now=NOW))["artifact"] is None


def test_an_expired_policy_earns_nothing() -> None:
    value = document()
    value["metadata"]["expires"] = "2026-01-01T00:00:00Z"
    judged = parse_policy(encode(value))
    decision = evaluate(judged, facts(*good()), now=NOW)
    assert matrix(judged, decision) == dict.fromkeys(ALL)


def test_all_evidence_earns_build_source_and_our_own_levels() -> None:
    assert levels_of(facts(*good())) == (
        "SLSA_BUILD_LEVEL_3",
        "SLSA_SOURCE_LEVEL_3",
        TWO_PARTY,
        "AUTHORITY_SOURCE_BETTER",
        "AUTHORITY_BUILD_BETTER",
        "AUTHORITY_ARTIFACT_BETTER",
    )


def test_a_denied_release_has_no_levels() -> None:
    assert levels_of(facts(built(), reviewed())) == ()


def isolated(name: str) -> Edit:
    def edit(value: dict[str, Any]) -> None:
        value["trust"]["builders"]["ci"]["isolation"] = name
        value["rules"] = [rule for rule in value["rules"] if rule["id"] != "BLD-2"]

    return edit


@pytest.mark.parametrize(("isolation", "level"), [("shared", 2), ("dedicated", 2), ("ephemeral", 3), ("hardened", 3)])
def test_the_build_level_follows_from_the_builders_class(isolation: str, level: int) -> None:
    stated = [name for name in levels_of(facts(*good()), isolated(isolation)) if name.startswith("SLSA_BUILD")]
    assert stated == [f"SLSA_BUILD_LEVEL_{level}"]


def test_the_weakest_builder_of_all_subjects_gives_the_build_level() -> None:
    known = facts(built("one", covers=(0,)), built_shared("two", covers=(1,)), subjects=2)
    judged = policy("BLD-1")
    assert verified_levels(judged, known, evaluate(judged, known, now=NOW))[0] == "SLSA_BUILD_LEVEL_2"


def without(*names: str) -> Edit:
    return lambda value: value.update(rules=[rule for rule in value["rules"] if rule["id"] not in names])


def test_without_the_provenance_rule_there_is_no_build_level() -> None:
    assert not any(name.startswith("SLSA_BUILD") for name in levels_of(facts(*good()), without("BLD-1")))


def test_without_the_review_rule_there_is_no_source_level() -> None:
    assert not any(name.startswith("SLSA_SOURCE") for name in levels_of(facts(*good()), without("SRC-2")))


SOURCE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "the level as stated, above what the rule demands": (
        ("SLSA_SOURCE_LEVEL_4", TWO_PARTY),
        ("SLSA_SOURCE_LEVEL_4", TWO_PARTY),
    ),
    "a property that is not stated is not repeated": (("SLSA_SOURCE_LEVEL_4",), ("SLSA_SOURCE_LEVEL_4",)),
    "at most one level a track": (
        ("SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_4", TWO_PARTY),
        ("SLSA_SOURCE_LEVEL_3", TWO_PARTY),
    ),
    "what is not ours to repeat is left out": (
        ("SLSA_SOURCE_LEVEL_3", TWO_PARTY, "ORG_SOURCE_X", "SLSA_BUILD_LEVEL_4"),
        ("SLSA_SOURCE_LEVEL_3", TWO_PARTY),
    ),
}


@pytest.mark.parametrize(("stated", "expected"), SOURCE.values(), ids=SOURCE)
def test_source_levels(stated: tuple[str, ...], expected: tuple[str, ...]) -> None:
    known = facts(built(), reviewed(levels=stated), ran(), scanned(), inventory())
    assert tuple(name for name in levels_of(known) if name.startswith("SLSA_SOURCE")) == expected


def test_a_source_attestation_that_does_not_join_gives_no_level() -> None:
    stronger = reviewed("stronger", commit="f" * 40, levels=("SLSA_SOURCE_LEVEL_4",))
    assert "SLSA_SOURCE_LEVEL_3" in levels_of(facts(*good(), stronger))


def test_own_names_never_look_like_slsa_levels() -> None:
    for name in levels_of(facts(*good())):
        assert name.startswith(("SLSA_BUILD_LEVEL_", "SLSA_SOURCE_", "AUTHORITY_"))


def test_a_property_of_one_subjects_source_is_not_the_others() -> None:
    judged = policy("SRC-2", properties=None, level="minimum")
    known = facts(
        built("one", covers=(0,)),
        built("two", covers=(1,), commit="f" * 40),
        reviewed("reviewed", covers=(0,), levels=("SLSA_SOURCE_LEVEL_4", TWO_PARTY)),
        reviewed("protected", covers=(1,), commit="f" * 40, levels=("SLSA_SOURCE_LEVEL_3",)),
        subjects=2,
    )
    decision = evaluate(judged, known, now=NOW)
    assert decision.verdict is Verdict.ALLOW
    assert verified_levels(judged, known, decision)[0] == "SLSA_SOURCE_LEVEL_3"
    assert TWO_PARTY not in verified_levels(judged, known, decision)


def test_a_decision_that_leaves_a_subject_out_states_no_slsa_level() -> None:
    judged, known = policy(), facts(*good())
    decision = evaluate(judged, known, now=NOW)
    wider = facts(*good(), subjects=2)
    assert not any(name.startswith("SLSA_") for name in verified_levels(judged, wider, decision))


def test_a_decision_over_other_facts_states_no_slsa_level() -> None:
    judged = policy()
    decision = evaluate(judged, facts(*good()), now=NOW)
    assert not any(name.startswith("SLSA_") for name in verified_levels(judged, facts(), decision))
    unknown_builder = facts(built(builder="ghost"), reviewed(levels=()))
    assert not any(name.startswith("SLSA_") for name in verified_levels(judged, unknown_builder, decision))
