# SPDX-License-Identifier: Apache-2.0
"""How much work a judgement would be, told before it begins, so that no request keeps the judge for long.

The unit is one judgement of a usual size by one rule, about ten microseconds. A rule type whose work grows with what
the evidence holds says so itself (`RuleType.effort`); what depends on the provenance is judged once for each that may
answer. A pure function of policy and facts: the same request is over the budget on every machine, and in every replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from policy.groups import Group
from policy.rule import Rule

MOST_EFFORT: Final = 10_000
"""About 100 ms."""


def effort(rules: Sequence[Rule], groups: Sequence[Group]) -> int:
    """The most that judging `rules` for each of `groups` takes."""
    beside = any(rule.mode == "shadow" for rule in rules)
    once = sum([_group_effort(rules, group) for group in groups])
    # Rules in shadow are judged beside those in force, together with them.
    return 2 * once if beside else once


def _group_effort(rules: Sequence[Rule], group: Group) -> int:
    candidates = max(1, len(group.evidence.provenance))
    return sum(
        [
            rule.kind.effort(rule.parameters, group.evidence) * (candidates if rule.kind.compares_provenance else 1)
            for rule in rules
        ]
    )
