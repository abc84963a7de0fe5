# SPDX-License-Identifier: Apache-2.0
"""What the rules of one environment must agree on, so that no document is accepted that could never allow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from policy.rule import Rule
from policy.rules.build.provenance import ProvenanceDemand
from policy.rules.deployment.approval import ApprovalDemand
from policy.rules.deployment.soak import SoakDemand
from policy.schema import Section


def refuse_contradiction(
    section: Section, name: str, required: Sequence[Rule], *, environments: Collection[str]
) -> None:
    """Refuse the environment `name` when its required rules could never pass together; raises PolicyError."""
    _one_provenance(section, required)
    _approvals(section, required)
    for rule in required:
        if isinstance(rule.parameters, SoakDemand) and rule.parameters.after not in {*environments} - {name}:
            raise section.refuse(
                "require",
                f"{rule.id} waits for {rule.parameters.after}, which is no other environment of this policy",
                remedy="name an environment that comes before this one, or require the rule elsewhere",
            )


def _one_provenance(section: Section, required: Sequence[Rule]) -> None:
    """One provenance answers for a subject: two demands that share no builder could never both pass."""
    demands = [rule for rule in required if isinstance(rule.parameters, ProvenanceDemand)]
    for one, other in combinations(demands, 2):
        if not set(one.parameters.builders) & set(other.parameters.builders):
            raise section.refuse(
                "require",
                f"{one.id} and {other.id} accept no builder in common",
                remedy="require one of them, or let both accept one builder",
            )


def _approvals(section: Section, required: Sequence[Rule]) -> None:
    demands = [rule for rule in required if isinstance(rule.parameters, ApprovalDemand)]
    for one, other in combinations(demands, 2):
        if one.kind is other.kind:
            # Counted apart, one person of two groups would stand for both.
            raise section.refuse(
                "require",
                f"{one.id} and {other.id} both count approvals",
                remedy="put the groups of both into one rule, so that one person stands for one group only",
            )
    gating = {rule.id for rule in required if rule.kind.stage != "approval" and rule.mode == "enforce"}
    for rule in demands:
        for listed in rule.parameters.checklist:
            if listed not in gating:
                raise section.refuse(
                    "require",
                    f"{rule.id} has {listed[:64]!r} on its checklist, which this environment does not enforce",
                    remedy="name rules that this environment requires, or require them",
                )
