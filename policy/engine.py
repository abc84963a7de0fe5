# SPDX-License-Identifier: Apache-2.0
"""The verdict: a pure function of policy, facts and one instant (invariant I3).

Nothing allows but findings: no environment, no subject, no rule, or a rule that raised leads to deny. Every required
rule is judged exactly once for each group of subjects that the same evidence covers, so that N subjects need N
answers and never N looks at the same one.

One provenance answers for a group. Where several items by trusted builders cover it, all rules that read provenance
are judged on each of them, and the findings are those of the item that satisfies most rules: a build from the right
branch and another one on the right builder do not add up. Removing such an item can therefore only deny.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from policy.about_policy import about_the_policy, over_budget
from policy.budget import MOST_EFFORT, effort
from policy.decision import LETS_THROUGH, Decision, Finding, Outcome, Verdict
from policy.document import Environment, Policy
from policy.facts import Facts, Provenance
from policy.groups import Group, group_subjects
from policy.judgement import Judgement, unknown
from policy.release import Release
from policy.rule import STAGES, Case, Rule, RuleType
from policy.shadow import in_force, set_aside
from policy.waiver import waive


def evaluate(policy: Policy, facts: Facts, *, now: datetime) -> Decision:
    """Judge `facts` at the instant `now`, which must be aware; never raises for any facts."""
    if now.tzinfo is None:
        raise ValueError("the judged instant must carry its offset")
    findings = list(about_the_policy(policy, facts, now))
    environment = policy.environments.get(facts.request.environment)
    if environment is not None and facts.request.subjects:
        groups = group_subjects(facts)
        work = effort(environment.rules, groups)
        if work > MOST_EFFORT:
            findings.append(over_budget(policy, facts, work=work, most=MOST_EFFORT))
        else:
            findings.extend(_judge_stages(policy, environment, groups, facts, now))
    return Decision(verdict=_verdict(findings), findings=tuple(findings))


def _verdict(findings: Sequence[Finding]) -> Verdict:
    outcomes = {finding.outcome for finding in findings}
    if outcomes <= LETS_THROUGH:
        # A pass that counts nothing, as outside a freeze window, allows nothing alone.
        counted = any(finding.outcome is Outcome.PASS and finding.evidence for finding in findings)
        return Verdict.ALLOW if counted else Verdict.DENY
    return Verdict.HOLD if outcomes <= LETS_THROUGH | {Outcome.WAITING} else Verdict.DENY


def _judge_stages(
    policy: Policy, environment: Environment, groups: Sequence[Group], facts: Facts, now: datetime
) -> list[Finding]:
    """The findings of every stage, in the policy's order; each stage sees those of the stages before it."""
    judged: list[Finding] = []
    findings: tuple[Finding, ...] = ()
    for rules in _stages(environment):
        release = Release(
            policy=policy.name,
            environment=environment.name,
            submitter=facts.request.submitter,
            subjects=facts.request.subjects,
            ledger=facts.ledger,
            findings=findings,
        )
        judged.extend(_judge(policy, rules, groups, release, now))
        # judged → waived → shadow; all of them again, since a decision rests on so many waivers and no more
        waived = waive(judged, policy=policy, facts=facts, now=now)
        findings = set_aside(waived, environment.rules, now=now)
    order = {name: place for place, name in enumerate(environment.require)}
    return sorted(findings, key=lambda finding: order[finding.rule])


def _stages(environment: Environment) -> Iterable[tuple[Rule, ...]]:
    """The rules of each stage that has any."""
    for stage in STAGES:
        rules = tuple([rule for rule in environment.rules if rule.kind.stage == stage])
        if rules:
            yield rules


def _judge(
    policy: Policy, rules: tuple[Rule, ...], groups: Sequence[Group], release: Release, now: datetime
) -> list[Finding]:
    gating = in_force(rules, now)
    judged = [_judge_group(policy, gating, group, release, now) for group in groups]
    if len(gating) < len(rules):
        # Rules in shadow are judged as if all were in force, and choose no provenance for those that are.
        beside = [_judge_group(policy, rules, group, release, now) for group in groups]
        judged = [_merged(rules, every, gating, those) for every, those in zip(beside, judged, strict=True)]
    judged_groups = list(zip(groups, judged, strict=True))
    return [
        _finding(rule, judgements[position], group.subjects)
        for position, rule in enumerate(rules)
        for group, judgements in judged_groups
    ]


def _merged(
    rules: tuple[Rule, ...], beside: list[Judgement], gating: tuple[Rule, ...], judged: list[Judgement]
) -> list[Judgement]:
    """The judgements of the rules in force, and for the others those made beside."""
    by_rule = {rule.id: judgement for rule, judgement in zip(gating, judged, strict=True)}
    return [by_rule.get(rule.id, shadow) for rule, shadow in zip(rules, beside, strict=True)]


def _judge_group(
    policy: Policy, rules: tuple[Rule, ...], group: Group, release: Release, now: datetime
) -> list[Judgement]:
    candidates: list[Provenance | None] = [None]
    if any(rule.kind.needs_provenance for rule in rules):
        trusted = [item for item in group.evidence.provenance if policy.trust.builder_of(item) is not None]
        # Of equals the one received last answers.
        candidates = [*reversed(trusted)] or candidates
    subjects = tuple([release.subjects[index] for index in group.subjects])
    best: list[Judgement] = []
    for candidate in candidates:
        case = Case(
            trust=policy.trust,
            evidence=group.evidence,
            provenance=candidate,
            subjects=subjects,
            release=release,
            now=now,
            clock_skew=policy.clock_skew,
            max_evidence_age=policy.max_evidence_age,
        )
        judgements = _judge_candidate(rules, case, best)
        if not best or _misses(judgements) < _misses(best):
            best = judgements
    return best


def _judge_candidate(rules: tuple[Rule, ...], case: Case, earlier: list[Judgement]) -> list[Judgement]:
    """Judge every rule; a rule that reads no provenance keeps its earlier judgement."""
    return [
        earlier[position] if earlier and not rule.kind.compares_provenance else _judge_rule(rule, case)
        for position, rule in enumerate(rules)
    ]


def _misses(judgements: list[Judgement]) -> int:
    return sum(judgement.outcome is not Outcome.PASS for judgement in judgements)


def _judge_rule(rule: Rule, case: Case) -> Judgement:
    try:
        judgement = rule.kind.judge(rule.parameters, case)
        hollow = not judgement.evidence and judgement.outcome is Outcome.PASS and rule.kind.rests_on_evidence
    except Exception as fault:  # noqa: BLE001 - whatever a rule raises must end as unknown, and unknown denies (I5)
        return unknown(f"the rule ended with {type(fault).__name__}", remedy="report this as a defect: signer doctor")
    if hollow:
        return unknown("the rule passed without counting any evidence", remedy="report this as a defect: signer doctor")
    return judgement


def _finding(rule: Rule, judgement: Judgement, subjects: tuple[int, ...]) -> Finding:
    kind = rule.kind
    title, remedy = (kind.success, "") if judgement.outcome is Outcome.PASS else _wording(kind, judgement)
    return Finding(
        rule=rule.id,
        type=kind.code,
        control=kind.control,
        level=rule.level,
        outcome=judgement.outcome,
        title=title,
        required=rule.required,
        found=judgement.found,
        evidence=judgement.evidence,
        bound=judgement.bound,
        remedy=remedy,
        subjects=subjects,
        offenders=judgement.offenders,
    )


def _wording(kind: RuleType[Any], judgement: Judgement) -> tuple[str, str]:
    """The title and the remedy of a finding."""
    match judgement.outcome:
        case Outcome.PASS:
            return kind.success, ""
        case Outcome.FAIL:
            return f"{kind.failure}; {judgement.cause}", judgement.remedy or kind.remedy
        case Outcome.UNKNOWN:
            return f"cannot tell: {judgement.cause}", judgement.remedy or kind.supply
        case Outcome.FROZEN | Outcome.WAITING:
            return judgement.cause, judgement.remedy or kind.remedy
        case Outcome.WAIVED | Outcome.SHADOW | Outcome.NOT_APPLICABLE:
            return f"{kind.title}; {judgement.cause}", judgement.remedy
