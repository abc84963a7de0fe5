# SPDX-License-Identifier: Apache-2.0
"""Who signs for the builder, where its workflow stands, what it tells: the build rules beside provenance itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from policy.decision import Outcome
from policy.document import Policy, parse_policy
from policy.facts import Item
from policy.lint import lint
from policy.schema import PolicyError
from tests.policy.factory import LOG, NOW, built, built_shared, document, encode, kept, policy, ran, sole

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN

Case = tuple[dict[str, Any], tuple[Item, ...], Outcome, str]

PINNED: dict[str, Case] = {
    "a commit passes": ({}, (built(definition="b" * 40),), PASS, ""),
    "a sha256 commit passes": ({}, (built(definition="b" * 64),), PASS, ""),
    "a digest passes": ({}, (built(definition=f"sha256:{'b' * 64}"),), PASS, ""),
    "a tag fails": ({}, (built(definition="refs/tags/v2"),), FAIL, 'stands at "refs/tags/v2", which can move'),
    "a short commit fails": ({}, (built(definition="b" * 12),), FAIL, "which can move"),
    "an upper-case commit fails": ({}, (built(definition="B" * 40),), FAIL, "which can move"),
    "nothing stated is unknown": ({}, (built(definition=None),), UNKNOWN, "at which commit its workflow stands"),
    "another builder's provenance fails": ({}, (built(builder=None, key="stranger"),), FAIL, "the key differs"),
    "no provenance is unknown": ({}, (ran(),), UNKNOWN, "no verified provenance"),
}
DESCRIBED: dict[str, Case] = {
    "a build described in full passes": ({}, (built(),), PASS, ""),
    "an unknown build type fails": ({}, (built(build_type="https://x.invalid"),), FAIL, "is not known"),
    "a parameter outside the list fails": ({}, (built(parameters=("inputs.x",)),), FAIL, 'the list: "inputs.x"'),
    "a dependency without a digest fails": ({}, (built(dependencies=3, undigested=1),), FAIL, "1 resolved"),
    "no dependency is unknown": ({}, (built(dependencies=0),), UNKNOWN, "lists 0 resolved dependencies"),
    "fewer dependencies than asked are unknown": ({"minDependencies": 2}, (built(),), UNKNOWN, "lists 1"),
    "as many dependencies as asked pass": ({"minDependencies": 2}, (built(dependencies=2),), PASS, ""),
    "another builder's provenance fails": ({}, (built(builder=None, key="stranger"),), FAIL, "the key differs"),
    "no provenance is unknown": ({}, (), UNKNOWN, "no verified provenance"),
}
SUBMITTED = {"submitted": True, "level": "better"}
LOGS: dict[str, Case] = {
    "a digest in signed provenance passes": ({}, (built(),), PASS, ""),
    "no digest is unknown": ({}, (built(logs=()),), UNKNOWN, "the provenance names no build log"),
    "a submitted log does not count unasked": ({}, (built(logs=()), kept()), UNKNOWN, "names no build log"),
    "a log by the builder's own principal passes": (SUBMITTED, (built(logs=()), kept()), PASS, ""),
    "a log by somebody else fails": (
        SUBMITTED,
        (built(logs=()), kept(submitter="robot:dana")),
        FAIL,
        "somebody else than the builder submitted the log",
    ),
    "a log beside that of somebody else passes": (
        SUBMITTED,
        (built(logs=()), kept("a", submitter="robot:dana"), kept("b")),
        PASS,
        "",
    ),
    "a document of another kind is no log": (SUBMITTED, (built(logs=()), kept(kind="commit-range")), UNKNOWN, ""),
    "a log of another digest never counts": (SUBMITTED, (built(logs=()), kept(covers=())), UNKNOWN, ""),
    "a builder without a principal submits nothing": (SUBMITTED, (built_shared(logs=()), kept()), FAIL, "somebody"),
    "a log that is kept passes": ({"kept": True}, (built(), kept(digest=LOG)), PASS, ""),
    "a log that is named and not kept is unknown": ({"kept": True}, (built(),), UNKNOWN, "names is not kept"),
    "another log is not the one that is named": ({"kept": True}, (built(), kept()), UNKNOWN, "names is not kept"),
    "another builder's provenance fails": ({}, (built(builder=None, key="stranger"),), FAIL, "the key differs"),
    "no provenance is unknown": ({}, (kept(),), UNKNOWN, "no verified provenance"),
}
SECRETS: dict[str, Case] = {
    "no secret passes": ({}, (built(),), PASS, ""),
    "a secret outside the list fails": ({}, (built(secrets=("TOKEN",)),), FAIL, 'outside the list: "TOKEN"'),
    "a secret of the list passes": ({"secrets": {"allow": ["TOKEN"]}}, (built(secrets=("TOKEN",)),), PASS, ""),
    "one of two outside the list fails": ({"secrets": {"allow": ["A"]}}, (built(secrets=("A", "B")),), FAIL, '"B"'),
    "what is not stated is unknown": ({}, (built(secrets=None),), UNKNOWN, "does not say which secrets"),
    "another builder's provenance fails": ({}, (built(builder=None, key="stranger"),), FAIL, "the key differs"),
    "no provenance is unknown": ({}, (), UNKNOWN, "no verified provenance"),
}


def named(rule: str, cases: dict[str, Case]) -> dict[str, tuple[str, Case]]:
    return {f"{rule}: {name}": (rule, case) for name, case in cases.items()}


CASES = {
    **named("BLD-4", PINNED),
    **named("BLD-5", DESCRIBED),
    **named("BLD-6", LOGS),
    **named("BLD-7", SECRETS),
}


@pytest.mark.parametrize(("rule", "case"), CASES.values(), ids=CASES)
def test_judges(rule: str, case: Case) -> None:
    changes, items, outcome, text = case
    finding = sole(policy(rule, **changes), *items)
    assert finding.outcome is outcome, finding
    assert text in finding.title


def test_each_fault_of_a_description_can_be_waived_alone() -> None:
    faulty = built(build_type="https://x.invalid", parameters=("inputs.x",), undigested=1, bare=("pkg:npm/a@1",))
    finding = sole(policy("BLD-5", minDependencies=2), faulty)
    assert [each.id for each in finding.offenders] == [
        "build type https://x.invalid",
        "parameter inputs.x",
        "dependency pkg:npm/a@1",
        "1 dependencies",
    ]
    assert sole(policy("BLD-5"), built(parameters=("inputs.x",), undigested=1)).offenders == (), "one has no name"


def test_a_log_that_is_kept_is_counted_with_the_provenance_that_names_it() -> None:
    provenance, log = built(), kept(digest=LOG)
    finding = sole(policy("BLD-6", kept=True), provenance, log)
    assert finding.evidence == (provenance.origin.digest, LOG)


def with_builder(**changes: Any) -> Policy:
    """`build.identity` alone, with the builder `ci` changed."""
    value = copy.deepcopy(document())
    value["trust"]["builders"]["ci"].update(changes)
    value["rules"] = [{"id": "BLD-3", "type": "build.identity", "control": "build", "level": "minimum"}]
    return parse_policy(encode(value))


def test_a_workload_with_a_key_of_its_own_is_no_persons_identity() -> None:
    assert sole(with_builder(), built()).outcome is PASS


def test_a_builder_that_a_person_signs_for_fails() -> None:
    finding = sole(with_builder(identity="person"), built())
    assert finding.outcome is FAIL
    assert "in the name of a person" in finding.title


@pytest.mark.parametrize(("held", "outcome"), [(("builder",), FAIL), (("a", "builder"), FAIL), (("source",), PASS)])
def test_a_key_with_which_a_person_approves_is_no_builders(held: tuple[str, ...], outcome: Outcome) -> None:
    finding = sole(with_builder(), built(), personal_keys=held)
    assert finding.outcome is outcome
    assert ("the key builder is a person's approval key" in finding.title) is (outcome is FAIL)


def test_identity_without_trusted_provenance_is_another_builders_or_unknown() -> None:
    assert sole(with_builder(), built(builder=None, key="stranger")).outcome is FAIL
    assert sole(with_builder(), ran()).outcome is UNKNOWN


def test_a_policy_whose_builders_are_all_people_is_hopeless() -> None:
    value = copy.deepcopy(document())
    for builder in value["trust"]["builders"].values():
        builder["identity"] = "person"
    value["rules"] = [{"id": "BLD-3", "type": "build.identity", "control": "build", "level": "minimum"}]
    remarks = lint(parse_policy(encode(value)), now=NOW, covered=None)
    assert "the rule can never pass: no trusted builder signs as a workload" in [remark.what for remark in remarks]


@pytest.mark.parametrize(
    ("accepted", "broad", "outcome"),
    [(None, True, PASS), (True, True, PASS), (False, True, FAIL), (False, False, PASS)],
)
def test_a_shared_builder_is_under_control_without_broad_access(
    accepted: bool | None,
    broad: bool,
    outcome: Outcome,
) -> None:
    value = copy.deepcopy(document())
    value["trust"]["builders"]["shared-ci"]["broadAccess"] = broad
    rule = {"id": "BLD-2", "type": "build.isolation", "control": "build", "level": "minimum", "atLeast": "shared"}
    value["rules"] = [rule if accepted is None else {**rule, "broadAccess": accepted}]
    finding = sole(parse_policy(encode(value)), built_shared())
    assert finding.outcome is outcome
    assert ("the builder has broad access" in finding.title) is (outcome is FAIL)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a submitted log at level strong": ({"submitted": True}, "level better at most"),
    "a level above what submitted logs carry": ({"submitted": True, "level": "strong"}, "level better at most"),
}


@pytest.mark.parametrize(("changes", "fault"), REFUSED.values(), ids=REFUSED)
def test_refuses(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(PolicyError, match=fault):
        policy("BLD-6", **changes)


def test_submitted_logs_need_a_builder_with_a_principal() -> None:
    value = copy.deepcopy(document())
    del value["trust"]["builders"]["ci"]["principal"]
    value["rules"] = [{"id": "L", "type": "build.log", "control": "build", "level": "better", "submitted": True}]
    with pytest.raises(PolicyError, match="no trusted builder has a principal"):
        parse_policy(encode(value))


@pytest.mark.parametrize("principal", ["ci", "person:dana", "robot:", "robot:a b", "robot:../x"])
def test_a_builders_principal_is_a_robot(principal: str) -> None:
    with pytest.raises(PolicyError, match="is no robot"):
        with_builder(principal=principal)
