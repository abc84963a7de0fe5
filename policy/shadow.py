# SPDX-License-Identifier: Apache-2.0
"""Rules in shadow: judged and shown beside the rules in force, and no part of the verdict.

    - {id: VUL-2, type: vulns.threshold, …, mode: shadow, effectiveOn: 2027-01-15T00:00:00Z}

From `effectiveOn` on the rule is in force, in the same version of the document; without it, until an owner-signed
version says `mode: enforce`. Until then its finding ends as *shadow* and names the outcome that it would have had.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from policy.decision import Finding, Outcome
from policy.rule import Rule
from policy.wording import moment

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def in_shadow(rule: Rule, now: datetime) -> bool:
    """Whether the rule is judged without being in force at `now`."""
    return rule.mode == "shadow" and (rule.effective_on is None or now < rule.effective_on)


def in_force(rules: Sequence[Rule], now: datetime) -> tuple[Rule, ...]:
    """The rules that a verdict at `now` rests on."""
    return tuple([rule for rule in rules if rule.mode == "enforce" or not in_shadow(rule, now)])


def gates_from(rule: Rule) -> datetime:
    """From when on the rule may deny."""
    if rule.mode == "enforce":
        return _ALWAYS
    return _NEVER if rule.effective_on is None else rule.effective_on


def gating(rule: Rule) -> str:
    """The same in words."""
    if rule.mode == "enforce":
        return "in force"
    return "in shadow" if rule.effective_on is None else f"in shadow until {moment(rule.effective_on)}"


def set_aside(findings: tuple[Finding, ...], rules: Iterable[Rule], *, now: datetime) -> tuple[Finding, ...]:
    """The findings, those of rules in shadow with the outcome *shadow* and what they would have been."""
    shadowed = {rule.id: rule for rule in rules if rule.mode == "shadow" and in_shadow(rule, now)}
    if not shadowed:
        return findings
    return tuple(
        finding if finding.rule not in shadowed else _shadow(finding, shadowed[finding.rule]) for finding in findings
    )


def _shadow(finding: Finding, rule: Rule) -> Finding:
    when = "" if rule.effective_on is None else f", in force from {moment(rule.effective_on)}"
    return finding._replace(
        outcome=Outcome.SHADOW,
        would=finding.outcome,
        title=f"in shadow{when}; would end as {finding.outcome}: {finding.title}",
    )
