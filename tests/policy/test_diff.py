# SPDX-License-Identifier: Apache-2.0
"""What changed between two policies, and in which direction."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st

from policy.decision import Verdict
from policy.diff import Change, Document, diff, unacknowledged
from policy.document import parse_policy
from policy.engine import evaluate
from policy.schema import PolicyError
from policy.sense import Direction
from tests.policy.factory import NOW, document, encode, facts, pem
from tests.policy.releases import items
from tests.policy.test_identity import keyless

Value = dict[str, Any]
CI = "trust.builders.ci"


def read(value: Value) -> Document:
    return Document(parse_policy(encode(value)), value)


def changed(change: Callable[[Value], object]) -> Value:
    value = copy.deepcopy(document())
    change(value)
    return value


def rule(value: Value, place: int) -> Value:
    found: Value = value["rules"][place]
    return found


def drop_rule(value: Value) -> None:
    del value["rules"][5]


def narrow_and_drop(value: Value) -> None:
    rule(value, 0).update(builders=["ci"])
    drop_rule(value)


def loosen_twice(value: Value) -> None:
    rule(value, 4).update(maxFailed=1)
    drop_rule(value)


def in_shadow(value: Value) -> None:
    rule(value, 5)["mode"] = "shadow"


def in_shadow_until(value: Value) -> None:
    rule(value, 5).update(mode="shadow", effectiveOn="2027-01-15T00:00:00Z")


def second_scanner(value: Value) -> None:
    value["trust"]["scanners"]["trivy"] = {"key": "other"}
    rule(value, 5)["scanners"] = ["grype", "trivy"]


def add_staging(value: Value) -> None:
    value["environments"]["staging"] = {"require": ["BLD-1"], "key": "staging", "formats": ["vsa"]}


CASES: dict[str, tuple[Callable[[Value], object], list[str]]] = {
    "nothing": (lambda _: None, []),
    "a newer version by another owner": (lambda v: v["metadata"].update(version=2, owner="x"), []),
    "another name": (lambda v: v["metadata"].update(name="x"), ["unclear metadata.name"]),
    "a later end": (lambda v: v["metadata"].update(expires="2028-01-01T00:00:00Z"), ["looser metadata.expires"]),
    "no end": (lambda v: v["metadata"].pop("expires"), ["looser metadata.expires"]),
    "an earlier end": (lambda v: v["metadata"].update(expires="2027-01-01T00:00:00Z"), ["tighter metadata.expires"]),
    "a rule in shadow": (in_shadow, ["looser VUL-1"]),
    "a rule in shadow until a day": (in_shadow_until, ["looser VUL-1"]),
    "a longer default age": (lambda v: v["defaults"].update(maxEvidenceAge="8d"), ["looser defaults.maxEvidenceAge"]),
    "the default age written out no more": (lambda v: v["defaults"].pop("maxEvidenceAge"), []),
    "a rule that becomes waivable": (lambda v: rule(v, 5).update(waivable=True), ["looser VUL-1"]),
    "no waivers, written out": (lambda v: rule(v, 5).update(waivable=False), []),
    "longer waivers": (lambda v: v.update(limits={"maxWaiverDays": 31}), ["looser limits.maxWaiverDays"]),
    "no renewals": (lambda v: v.update(limits={"maxRenewals": 0}), ["tighter limits.maxRenewals"]),
    "more waivers": (lambda v: v.update(limits={"maxOpenWaivers": 11}), ["looser limits.maxOpenWaivers"]),
    "the usual limits, written out": (lambda v: v.update(limits={"maxRenewals": 1}), []),
    "a smaller skew": (lambda v: v["defaults"].update(clockSkew="1m"), ["tighter defaults.clockSkew"]),
    "another key under a name": (
        lambda v: v["trust"]["keys"].update(scanner=pem("new")),
        ["unclear trust.keys.scanner"],
    ),
    "a key more": (lambda v: v["trust"]["keys"].update(new=pem("new")), ["tighter trust.keys.new"]),
    "a builder of a better class": (
        lambda v: v["trust"]["builders"]["shared-ci"].update(isolation="dedicated"),
        ["looser trust.builders.shared-ci"],
    ),
    "a builder of a lower class": (
        lambda v: v["trust"]["builders"]["ci"].update(isolation="shared"),
        [f"tighter {CI}"],
    ),
    "a builder of another id": (lambda v: v["trust"]["builders"]["ci"].update(id="x"), [f"unclear {CI}"]),
    "a builder with more access": (
        lambda v: v["trust"]["builders"]["ci"].update(broadAccess=True),
        [f"unclear {CI}"],
    ),
    "a tester more": (
        lambda v: v["trust"]["testers"].update(new={"key": "other"}),
        ["looser trust.testers.new"],
    ),
    "an older database": (
        lambda v: v["trust"]["scanners"]["grype"].update(maxDatabaseAge="3d"),
        ["looser trust.scanners.grype"],
    ),
    "the default age for the database": (
        lambda v: v["trust"]["scanners"]["grype"].pop("maxDatabaseAge"),
        ["looser trust.scanners.grype"],
    ),
    "a builder accepted no more": (lambda v: rule(v, 0).update(builders=["ci"]), ["tighter BLD-1"]),
    "a parameter more": (
        lambda v: rule(v, 0)["parameters"]["allow"].append("inputs.debug"),
        ["looser BLD-1"],
    ),
    "a wider ref": (
        lambda v: rule(v, 2).update(refs=["refs/heads/*", "refs/tags/v*"]),
        ["looser SRC-1", "tighter SRC-1"],
    ),
    "a lower isolation": (lambda v: rule(v, 1).update(atLeast="dedicated"), ["looser BLD-2"]),
    "another level of the same demand": (lambda v: rule(v, 1).update(level="minimum"), ["unclear BLD-2"]),
    "another type under an id": (
        lambda v: v["rules"].__setitem__(6, {**rule(v, 1), "id": "SBM-1"}),
        ["unclear SBM-1"],
    ),
    "a rule gone": (drop_rule, ["looser VUL-1"]),
    "a rule more": (lambda v: v["rules"].append({**rule(v, 1), "id": "BLD-9"}), ["tighter BLD-9"]),
    "a rule required no more": (
        lambda v: v["environments"]["release"].update(require=["BLD-1", "SRC-2"]),
        ["looser BLD-2", "looser SRC-1", "looser TST-1", "looser VUL-1", "looser SBM-1"],
    ),
    "another signing key": (
        lambda v: v["environments"]["release"].update(key="other"),
        ["unclear environments.release"],
    ),
    "an environment that signs images too": (
        lambda v: v["environments"]["release"].update(formats=["vsa", "cosign"], imageKey="images"),
        ["unclear environments.release", "unclear environments.release"],
    ),
    "an environment that takes timestamps": (
        lambda v: v["environments"]["release"].update(timestamp="best-effort"),
        ["tighter environments.release"],
    ),
    "an environment more": (add_staging, ["looser environments.staging"]),
}


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES)
def test_names_and_directions_of(change: Callable[[Value], object], expected: list[str]) -> None:
    found = diff(read(document()), read(changed(change)))
    assert sorted(f"{each.direction} {each.name}" for each in found) == sorted(expected)


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        pytest.param(in_shadow, lambda _: None, Direction.TIGHTER, id="promoted"),
        pytest.param(in_shadow, in_shadow_until, Direction.TIGHTER, id="given a day"),
        pytest.param(in_shadow_until, in_shadow, Direction.LOOSER, id="without its day"),
    ],
)
def test_a_rule_that_is_in_force_earlier_is_tighter(
    old: Callable[[Value], object], new: Callable[[Value], object], direction: Direction
) -> None:
    found = diff(read(changed(old)), read(changed(new)))
    assert [(each.direction, each.path) for each in found] == [(direction, "rules.VUL-1.mode")]


def test_an_environment_less_is_tighter() -> None:
    found = diff(read(changed(add_staging)), read(document()))
    assert [(each.direction, each.name) for each in found] == [(Direction.TIGHTER, "environments.staging")]


def test_a_scanner_fewer_may_uncover_an_older_clean_scan() -> None:
    found = diff(read(changed(second_scanner)), read(document()))
    assert {(each.direction, each.name) for each in found} == {
        (Direction.UNCLEAR, "trust.scanners.trivy"),
        (Direction.UNCLEAR, "VUL-1"),
    }


def test_changes_of_roots_identities_and_older_spellings() -> None:
    old, new = keyless(), keyless(repositoryId="7")
    new["trust"]["roots"]["own"] = {"trustedRoot": "{}"}
    new["trust"]["roots"]["public-good"] = {"trustedRoot": '{"other":1}'}
    new["trust"]["accept"] = {"statements": ["v0.1"]}
    assert [(each.direction.value, each.path) for each in diff(read(old), read(new))] == [
        ("looser", "trust.accept.statements"),
        ("unclear", "trust.roots.public-good"),
        ("unclear", "trust.identities.release"),
        ("tighter", "trust.roots.own"),
    ]


def test_what_is_looser_comes_first() -> None:
    found = diff(read(document()), read(changed(narrow_and_drop)))
    assert [each.direction for each in found] == [Direction.LOOSER, Direction.TIGHTER]


def test_only_the_named_change_is_acknowledged() -> None:
    found = diff(read(document()), read(changed(loosen_twice)))
    assert [each.name for each in unacknowledged(found, frozenset())] == ["TST-1", "VUL-1"]
    assert [each.name for each in unacknowledged(found, frozenset({"VUL-1"}))] == ["TST-1"]
    assert [each.name for each in unacknowledged(found, frozenset({"rules.TST-1.maxFailed"}))] == ["VUL-1"]
    assert unacknowledged(found, frozenset({"VUL-1", "TST-1"})) == ()


CHANGES: list[Callable[[Value], object]] = [
    *(change for change, _ in CASES.values()),
    lambda v: rule(v, 5).update(deny={"critical": 0, "high": 1}),
    lambda v: rule(v, 5).update(maxAge="1d"),
    lambda v: rule(v, 5).pop("maxAge"),
    lambda v: rule(v, 4).pop("suites"),
    lambda v: rule(v, 4).update(minPassed=2),
    lambda v: rule(v, 6).update(formats=["spdx", "cyclonedx"]),
    lambda v: (rule(v, 3).pop("properties"), rule(v, 3).update(level="minimum")),
    lambda v: rule(v, 3).update(atLeast="SLSA_SOURCE_LEVEL_4"),
    lambda v: rule(v, 0).pop("workflows"),
    second_scanner,
]


@settings(max_examples=50)
@given(
    st.sampled_from(CHANGES),
    st.booleans(),
    st.lists(items(), min_size=4, max_size=8),
)
def test_tighter_allows_nothing_that_was_denied(
    change: Callable[[Value], object], backwards: bool, evidence: list[Any]
) -> None:
    values = (document(), changed(change))
    old, new = map(read, reversed(values) if backwards else values)
    assume(all(each.direction is Direction.TIGHTER for each in diff(old, new)))
    known = facts(*evidence, subjects=1)
    before, after = (evaluate(each.policy, known, now=NOW).verdict for each in (old, new))
    assert not (before is Verdict.DENY and after is Verdict.ALLOW)


def test_a_broken_document_is_compared_with_nothing() -> None:
    with pytest.raises(PolicyError):
        read({**document(), "rules": []})


def test_a_change_is_what_it_says() -> None:
    (found,) = diff(read(document()), read(changed(lambda v: rule(v, 5).update(maxAge="3d"))))
    assert found == Change(name="VUL-1", path="rules.VUL-1.maxAge", direction=Direction.LOOSER, what="2d → 3d")
