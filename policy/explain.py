# SPDX-License-Identifier: Apache-2.0
"""What a policy demands, in one sentence for each rule of each environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.document import Environment, Policy
from policy.patterns import compiled
from policy.rule import Rule
from policy.sense import covers_pattern
from policy.wording import moment

WAIVABLE: Final = " Two people may waive it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One rule of one environment."""

    environment: str
    rule: str
    control: str
    level: str
    text: str
    patterns: tuple[tuple[str, str], ...]
    """Each pattern with a wildcard, and the regular expression that it stands for."""


def explain(policy: Policy, value: Mapping[str, Any], *, environment: str | None = None) -> tuple[Sentence, ...]:
    """The sentences of one environment or of all; `value` are the document's plain values."""
    raw = {each["id"]: each for each in value["rules"]}
    return tuple(
        Sentence(
            environment=stage.name,
            rule=rule.id,
            control=rule.control,
            level=rule.level,
            text=f"{rule.kind.title}: {rule.required}.{_until(rule)}{WAIVABLE if rule.waivable else ''}",
            patterns=tuple(_patterns(rule, raw[rule.id])),
        )
        for stage in policy.environments.values()
        if environment in (None, stage.name)
        for rule in stage.rules
    )


def _until(rule: Rule) -> str:
    match rule.mode, rule.effective_on:
        case "enforce", _:
            return ""
        case _, None:
            return " In shadow: shown, never denies."
        case _, since:
            return f" In shadow until {moment(since)}, in force from then on."


def heading(policy: Policy, environment: str) -> str:
    """The environment itself in one sentence."""
    stage = policy.environments[environment]
    gating = sum(rule.mode == "enforce" for rule in stage.rules)
    shadowed = len(stage.rules) - gating
    return (
        f"{policy.name} v{policy.version} signs for {stage.name} with the {_keys(stage)} "
        f"when all of {gating} rules pass{f'; {shadowed} more in shadow' if shadowed else ''}."
        f"{f' Timestamps: {stage.timestamp}.' if stage.timestamp is not None else ''}"
    )


def _keys(stage: Environment) -> str:
    keys = [f"{output.key} ({output.format})" for output in stage.outputs]
    return f"key{'s' if len(keys) > 1 else ''} {', '.join(keys)}"


def _patterns(rule: Rule, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in rule.kind.parameters:
        if parameter.sense is not None and parameter.sense.covers is covers_pattern:
            for pattern in raw.get(parameter.name, ()):
                if "*" in pattern:
                    yield pattern, compiled(pattern)
