# SPDX-License-Identifier: Apache-2.0
"""The enforcement matrix of controls and levels, and the levels of the VSA, both from the findings that gated.

A control has earned a level when the policy has a rule at that level and every rule of the control up to it passed.
Unknown is never a pass, and neither is a rule that this environment did not require.
"""

from __future__ import annotations

from typing import Final

from policy.decision import Decision, Finding, Outcome, Verdict
from policy.document import POLICY_RULE, Policy
from policy.facts import Facts, SourceSummary
from policy.rule import CONTROLS, LEVELS
from policy.rules.build.provenance import PROVENANCE
from policy.rules.source.reviews import REVIEWS, SOURCE_LEVELS, TWO_PARTY, source_level

BUILD_LEVELS: Final = {
    "shared": "SLSA_BUILD_LEVEL_2",
    "dedicated": "SLSA_BUILD_LEVEL_2",
    "ephemeral": "SLSA_BUILD_LEVEL_3",
    "hardened": "SLSA_BUILD_LEVEL_3",
}
"""Signed provenance is level 2; level 3 needs a build that no other build can reach (SLSA 1.2, build track)."""


def matrix(policy: Policy, decision: Decision) -> dict[str, str | None]:
    """The highest level that each control earned; None when none."""
    return {control: _earned(policy, decision, control) for control in CONTROLS}


def verified_levels(policy: Policy, facts: Facts, decision: Decision) -> tuple[str, ...]:
    """The levels of the VSA: at most one SLSA level a track, then AUTHORITY_<CONTROL>_<LEVEL>; none unless allowed.

    Several subjects share one statement, so each level holds for the weakest of them.
    """
    if decision.verdict is not Verdict.ALLOW:
        return ()
    own = (
        f"AUTHORITY_{control}_{level}".upper()
        for control, level in matrix(policy, decision).items()
        if level is not None
    )
    return (*_build_level(policy, facts, decision), *_source_levels(facts, decision), *own)


def _earned(policy: Policy, decision: Decision, control: str) -> str | None:
    if decision.of(POLICY_RULE):
        return None
    earned = None
    for level in LEVELS:
        rules = [
            rule
            for rule in policy.rules
            if rule.control == control and rule.level == level and not _shadowed(decision.of(rule.id))
        ]
        if not all(_passed(decision.of(rule.id)) for rule in rules):
            break
        if rules:
            earned = level
    return earned


def _shadowed(findings: tuple[Finding, ...]) -> bool:
    """Whether a rule was in shadow: it neither earns a level nor takes one away."""
    return any(finding.outcome is Outcome.SHADOW for finding in findings)


def _passed(findings: tuple[Finding, ...]) -> bool:
    return bool(findings) and all(finding.outcome is Outcome.PASS for finding in findings)


def _counted(facts: Facts, decision: Decision, code: str) -> set[str] | None:
    """Digests that the rules of this type counted; None unless they passed for every subject."""
    findings = tuple(
        finding for finding in decision.findings if finding.type == code and finding.outcome is not Outcome.SHADOW
    )
    subjects = {subject for finding in findings for subject in finding.subjects}
    if not _passed(findings) or subjects != set(range(len(facts.request.subjects))):
        return None
    return {digest for finding in findings for digest in finding.evidence}


def _build_level(policy: Policy, facts: Facts, decision: Decision) -> tuple[str, ...]:
    counted = _counted(facts, decision, PROVENANCE.code)
    if counted is None:
        return ()
    builders = [policy.trust.builder_of(item) for item in facts.evidence.provenance if item.origin.digest in counted]
    levels = [BUILD_LEVELS[builder.isolation] for builder in builders if builder is not None]
    return (min(levels),) if levels and len(levels) == len(builders) else ()


def _source_levels(facts: Facts, decision: Decision) -> tuple[str, ...]:
    counted = _counted(facts, decision, REVIEWS.code)
    if counted is None:
        return ()
    items = [item for item in facts.evidence.sources if item.origin.digest in counted]
    lowest = min(map(source_level, items), default=0)
    stated = [SOURCE_LEVELS[lowest - 1]] if lowest else []
    if items and all(map(_two_party, items)):
        stated.append(TWO_PARTY)
    return tuple(stated)


def _two_party(item: SourceSummary) -> bool:
    return TWO_PARTY in item.levels
