# SPDX-License-Identifier: Apache-2.0
"""Where a digest stands: for each environment the newest decision, its levels, what the next need, the questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.decision import LETS_THROUGH, Decision as Judgement
from policy.document import Policy
from policy.levels import matrix
from policy.questions import Answered, recorded_answers
from policy.rule import LEVELS
from signer.formats.findings import decode_decision
from signer.ledger.leaves import Decision
from signer.releases.contents import Contents
from signer.releases.findings import policy_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """The newest decision for one environment under one policy."""

    leaf: int
    decision: Decision
    status: str
    """signed, failed, unknown, open; or the verdict where it was no allow."""
    levels: Mapping[str, str | None]
    """Control → earned level."""
    needs: Mapping[str, str]
    """Control → what the next level needs; a control that has the highest is not in it."""
    questions: tuple[Answered, ...]


def postures(contents: Contents) -> tuple[Posture, ...]:
    """One for each policy and environment, in the order of their names."""
    newest = {(leaf.policy.name, leaf.environment): (index, leaf) for index, leaf in contents.decisions()}
    return tuple(_posture(contents, *newest[key]) for key in sorted(newest))


def status_of(contents: Contents, index: int, leaf: Decision) -> str:
    """How a decision ended."""
    if leaf.verdict != "allow":
        return leaf.verdict
    outcome = contents.outcome(index)
    return "open" if outcome is None else outcome[1].status


def _posture(contents: Contents, index: int, leaf: Decision) -> Posture:
    policy, judged = policy_of(contents, leaf), decode_decision(contents.read(leaf.findings))
    levels = matrix(policy, judged)
    questions, _ = recorded_answers(
        judged.findings,
        policy_digest=leaf.policy.digest,
        environment=leaf.environment,
        subjects=contents.subjects(leaf),
    )
    return Posture(
        leaf=index,
        decision=leaf,
        status=status_of(contents, index, leaf),
        levels=levels,
        needs={control: need for control, level in levels.items() if (need := _need(policy, judged, control, level))},
        questions=questions,
    )


def _need(policy: Policy, judged: Judgement, control: str, level: str | None) -> str:
    """What the level after `level` needs of one control, by the rules that are not satisfied yet."""
    above = LEVELS[LEVELS.index(level) + 1 :] if level in LEVELS else LEVELS
    for target in above:
        rules = [rule for rule in policy.rules if (rule.control, rule.level) == (control, target)]
        if not rules:
            return f"{target}: the policy has no rule of this level"
        open_rules = [
            rule
            for rule in rules
            if not judged.of(rule.id) or any(each.outcome not in LETS_THROUGH for each in judged.of(rule.id))
        ]
        titles = ", ".join(f"{rule.id} ({rule.type})" for rule in open_rules or rules)
        return f"{target}: {titles}"
    return ""
