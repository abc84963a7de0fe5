# SPDX-License-Identifier: Apache-2.0
"""The direction of a change, for each sense that a parameter may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from policy.document import load_document, read_policy
from policy.patterns import compiled, matches
from policy.rule import RuleType
from policy.rules import RULES
from policy.rules.source.reviews import SOURCE_LEVELS
from policy.sense import Direction, Kind, Sense, covers_name, covers_pattern, steps
from policy.weakened import weakened
from tests.policy.factory import document

ACCEPTS = Sense(kind=Kind.ACCEPTS)
LATEST = Sense(kind=Kind.ACCEPTS, latest=True)
PATTERNS = Sense(kind=Kind.ACCEPTS, covers=covers_pattern)
NAMES = Sense(kind=Kind.ACCEPTS, covers=covers_name)
DEMANDS = Sense(kind=Kind.DEMANDS, absent=())
SUITES = Sense(kind=Kind.DEMANDS, vague_absence=True)
LEVEL = Sense(kind=Kind.LEAST, order=SOURCE_LEVELS)
LEAST = Sense(kind=Kind.LEAST, absent=1)
MOST = Sense(kind=Kind.MOST)
AGE = Sense(kind=Kind.AGE)
LIMITS = Sense(kind=Kind.LIMITS)
GRACE = Sense(kind=Kind.GRACE)
ALLOWS = Sense(kind=Kind.ALLOWS, absent=False)
INSISTS = Sense(kind=Kind.INSISTS, absent=False)
SPAN = Sense(kind=Kind.SPAN, absent="0s")
COUNTS = Sense(kind=Kind.COUNTS)
NAMES_ONE = Sense(kind=Kind.NAMES)
SAYS = Sense(kind=Kind.SAYS)

CHANGES: dict[str, tuple[Sense | None, Any, Any, list[str]]] = {
    "an accepted entry more": (ACCEPTS, ["a"], ["a", "b"], ["looser"]),
    "an accepted entry fewer": (ACCEPTS, ["a", "b"], ["a"], ["tighter"]),
    "an accepted entry for another": (ACCEPTS, ["a"], ["b"], ["looser", "tighter"]),
    "one fewer of whom the latest decides": (LATEST, ["a", "b"], ["a"], ["unclear"]),
    "one more of whom the latest decides": (LATEST, ["a"], ["a", "b"], ["looser"]),
    "accepted in another order": (ACCEPTS, ["a", "b"], ["b", "a"], []),
    "no list any more": (ACCEPTS, ["a"], None, ["looser"]),
    "a list where there was none": (ACCEPTS, None, ["a"], ["tighter"]),
    "a star in a list without patterns": (ACCEPTS, ["https://x/*"], ["https://x/*", "https://x/y"], ["looser"]),
    "a wider pattern": (PATTERNS, ["refs/heads/main"], ["refs/heads/*"], ["looser", "tighter"]),
    "a pattern that was covered": (PATTERNS, ["refs/heads/*"], ["refs/heads/*", "refs/heads/main"], ["tighter"]),
    "a name below a group": (NAMES, ["inputs.*"], ["inputs.*", "inputs.x"], ["tighter"]),
    "a group for a name": (NAMES, ["inputs.x"], ["inputs.*"], ["looser", "tighter"]),
    "a demanded entry more": (DEMANDS, ["a"], ["a", "b"], ["tighter"]),
    "a demanded entry fewer": (DEMANDS, ["a", "b"], ["a"], ["looser"]),
    "no demand any more": (DEMANDS, ["a"], None, ["looser"]),
    "suites where there were none": (SUITES, None, ["unit"], ["unclear"]),
    "no suites any more": (SUITES, ["unit"], None, ["unclear"]),
    "a suite more": (SUITES, ["unit"], ["unit", "web"], ["tighter"]),
    "a lower level": (LEVEL, "SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_2", ["looser"]),
    "a higher level": (LEVEL, "SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_4", ["tighter"]),
    "no level any more": (LEVEL, "SLSA_SOURCE_LEVEL_3", None, ["looser"]),
    "a smaller least": (LEAST, 3, 2, ["looser"]),
    "the least that absence means": (LEAST, None, 1, []),
    "a greater most": (MOST, 0, 1, ["looser"]),
    "a smaller most": (MOST, 2, 1, ["tighter"]),
    "a longer age": (AGE, "1d", "25h", ["looser"]),
    "a shorter age": (AGE, "2d", "1d", ["tighter"]),
    "the same age in another unit": (AGE, "1d", "24h", []),
    "an age below the default": (AGE, None, "2d", ["tighter"]),
    "an age above the default": (AGE, None, "9d", ["unclear"]),
    "no age any more": (AGE, "2d", None, ["looser"]),
    "no longer age any more": (AGE, "9d", None, ["unclear"]),
    "a limit raised and one lowered": (LIMITS, {"a": 0, "b": 1}, {"a": 1, "b": 0}, ["looser", "tighter"]),
    "a grace longer and one shorter": (GRACE, {"a": "1d", "b": "2d"}, {"a": "25h", "b": "1d"}, ["looser", "tighter"]),
    "a grace in other words": (GRACE, {"a": "1d"}, {"a": "24h"}, []),
    "no grace any more": (GRACE, {"a": "1d", "b": "1d"}, None, ["tighter", "tighter"]),
    "a grace where there was none": (GRACE, None, {"a": "1d"}, ["looser"]),
    "a limit gone": (LIMITS, {"a": 0, "b": 0}, {"a": 0}, ["looser"]),
    "a limit more": (LIMITS, {"a": 0}, {"a": 0, "b": 9}, ["tighter"]),
    "unrated ones accepted": (LIMITS, {"a": 0}, {"a": 0, "unknown": 1}, ["looser"]),
    "unrated ones at their default": (LIMITS, {"a": 0}, {"a": 0, "unknown": 0}, []),
    "a flag that allows": (ALLOWS, None, True, ["looser"]),
    "a flag that allows no more": (ALLOWS, True, None, ["tighter"]),
    "a flag that insists": (INSISTS, False, True, ["tighter"]),
    "a longer span": (SPAN, "2h", "3h", ["tighter"]),
    "a shorter span": (SPAN, "2h", "90m", ["looser"]),
    "the same span in another unit": (SPAN, "2h", "120m", ["tighter"]),
    "no span any more": (SPAN, "2h", None, ["looser"]),
    "a span where there was none": (SPAN, None, "2h", ["tighter"]),
    "one more of a group": (COUNTS, {"sre": 1}, {"sre": 2}, ["tighter"]),
    "one less of a group, another group asked": (COUNTS, {"sre": 2}, {"sre": 1, "qa": 1}, ["looser", "tighter"]),
    "a group not asked any more": (COUNTS, {"sre": 1, "qa": 1}, {"qa": 1}, ["looser"]),
    "another name": (NAMES_ONE, "staging", "test", ["unclear"]),
    "other words": (SAYS, "year end", "stock-taking", ["tighter"]),
    "no sense": (None, 1, 2, ["unclear"]),
    "no change": (None, 1, 1, []),
}


@pytest.mark.parametrize(("sense", "old", "new", "expected"), CHANGES.values(), ids=CHANGES)
def test_direction_of(sense: Sense | None, old: Any, new: Any, expected: list[str]) -> None:
    assert [step.direction.value for step in steps(sense, old, new, age=7 * 86400)] == expected


def test_every_parameter_of_every_rule_type_says_its_sense() -> None:
    assert [
        f"{kind.code}.{parameter.name}"
        for kind in RULES.values()
        for parameter in kind.parameters
        if parameter.sense is None
    ] == []


@pytest.mark.parametrize(
    ("sense", "value", "required", "expected"),
    [
        (PATTERNS, ["refs/heads/main", "refs/tags/v*"], True, 4),
        (PATTERNS, ["refs/tags/*"], True, 0),
        (PATTERNS, ["refs/tags/*"], False, 1),
        (MOST, 0, True, 1),
        (LEAST, 0, True, 0),
        (LEAST, 2, False, 2),
        (LEVEL, "SLSA_SOURCE_LEVEL_1", True, 1),
        (LEVEL, "SLSA_SOURCE_LEVEL_3", True, 2),
        (AGE, "36h", False, 2),
        (LIMITS, {"critical": 0, "high": 0}, True, 3),
        (GRACE, {"critical": "1d", "high": "7d"}, False, 3),
        (ALLOWS, True, False, 2),
        (SPAN, "2h", True, 1),
        (SPAN, "0s", False, 1),
        (COUNTS, {"sre": 1, "qa": 2}, True, 4),
        (NAMES_ONE, "staging", True, 0),
        (SAYS, "year end", True, 0),
    ],
)
def test_mutants_of_a_value(sense: Sense, value: Any, required: bool, expected: int) -> None:
    found = dict(weakened(sense, value, required=required))
    assert len(found) == expected
    assert value not in found.values()


def test_a_mutant_that_is_no_narrower_is_looser() -> None:
    for value in (["refs/heads/main"], ["refs/tags/v*"]):
        for _, weaker in weakened(PATTERNS, value, required=True):
            assert Direction.LOOSER in [step.direction for step in steps(PATTERNS, value, weaker)]


segments = st.lists(st.text("ab*", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)


@given(segments.filter(lambda text: "**" not in text), st.lists(st.text("ab", max_size=4), max_size=3).map("/".join))
def test_the_expression_for_people_means_the_same_as_the_judge(pattern: str, text: str) -> None:
    import re  # noqa: PLC0415 - the judge itself compiles none

    assert bool(re.fullmatch(compiled(pattern), text)) == matches(pattern, text)


@given(
    segments.filter(lambda text: "**" not in text),
    segments.filter(lambda text: "**" not in text),
    st.lists(st.text("ab", max_size=4), max_size=3).map("/".join),
)
def test_a_pattern_that_covers_another_matches_all_that_it_matches(wide: str, narrow: str, text: str) -> None:
    if covers_pattern(wide, narrow) and matches(narrow, text):
        assert matches(wide, text)


def read(kind: RuleType[Any], **changes: Any) -> Any:
    """What the example of a rule type demands, with changes; None takes a parameter out."""
    rule = {**load_document(kind.example.encode()), "level": "minimum", **changes}
    value = {**document(), "rules": [{name: item for name, item in rule.items() if item is not None}]}
    value["environments"] = {"release": {"require": ["*"], "key": "release", "formats": ["vsa"]}}
    return read_policy(value, digest="0" * 64).environments["release"].rules[0].parameters


@pytest.mark.parametrize(
    ("code", "name", "absent"),
    [
        (kind.code, parameter.name, parameter.sense.absent)
        for kind in RULES.values()
        for parameter in kind.parameters
        if parameter.sense is not None and parameter.sense.kind in (Kind.ALLOWS, Kind.INSISTS)
    ],
)
def test_a_flag_that_is_absent_reads_as_its_sense_says(code: str, name: str, absent: bool) -> None:
    kind = RULES[code]
    assert read(kind, **{name: None}) == read(kind, **{name: absent})
    assert read(kind, **{name: None}) != read(kind, **{name: not absent})


def test_what_the_policy_itself_states_is_never_weakened() -> None:
    # No evidence can tell a smaller demand on the builder's class from the written one.
    senses = {each.name: each.sense for each in RULES["build.isolation"].parameters if each.sense is not None}
    assert list(weakened(senses["atLeast"], "ephemeral", required=True)) == [("becomes hardened", "hardened")]
    assert list(weakened(senses["broadAccess"], False, required=False)) == []
