# SPDX-License-Identifier: Apache-2.0
"""Run trials, and say which outcomes of which rules they pin down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set as AbstractSet
from dataclasses import dataclass

from policy.decision import Decision, Finding, Outcome, Verdict
from policy.document import Policy
from policy.engine import evaluate
from policy.rule import Rule
from policy.testing.holds import as_held
from policy.testing.suite import Trial

_WORST = (
    Outcome.FAIL,
    Outcome.UNKNOWN,
    Outcome.FROZEN,
    Outcome.WAITING,
    Outcome.WAIVED,
    Outcome.SHADOW,
    Outcome.PASS,
    Outcome.NOT_APPLICABLE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One trial and what was wrong with the policy's answer; no fault means that it passed."""

    trial: Trial
    decision: Decision
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which of its outcomes the trials pin down for one required rule: pass, fail or frozen, and evidence absent.

    None where a rule with these parameters cannot end so.
    """

    rule: str
    passes: bool
    fails: bool | None
    absent: bool | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The outcomes that no trial expects."""
        stated = (("pass", self.passes), ("fail", self.fails), ("evidence absent", self.absent))
        return tuple(name for name, there in stated if there is False)


def run(policy: Policy, trials: Iterable[Trial]) -> tuple[Ran, ...]:
    """Judge every trial."""
    return tuple(run_trial(policy, trial) for trial in trials)


def run_trial(policy: Policy, trial: Trial) -> Ran:
    """Judge one trial."""
    decision = evaluate(policy, as_held(policy, trial.facts, now=trial.at), now=trial.at)
    return Ran(trial=trial, decision=decision, faults=tuple(_faults(trial, decision)))


def outcomes(decision: Decision) -> dict[str, Outcome]:
    """How each rule ended: the worst of its findings; for a rule in shadow how it would have ended."""
    worst: dict[str, Outcome] = {}
    for finding in decision.findings:
        outcome = _told(finding)
        worst[finding.rule] = min(worst.get(finding.rule, outcome), outcome, key=_WORST.index)
    return worst


def _told(finding: Finding) -> Outcome:
    if finding.outcome is Outcome.SHADOW and finding.would is not None:
        return finding.would
    return finding.outcome


def coverage(policy: Policy, ran: Iterable[Ran]) -> tuple[Coverage, ...]:
    """What the passing trials expect of each rule that gates some environment, in the document's order."""
    pinned = {(name, outcome) for each in ran if not each.faults for name, outcome in _pinned(each)}
    required = {name for environment in policy.environments.values() for name in environment.require}
    return tuple(_covered(rule, pinned) for rule in policy.rules if rule.id in required and rule.mode == "enforce")


def _covered(rule: Rule, pinned: AbstractSet[tuple[str, str]]) -> Coverage:
    endings = rule.kind.endings(rule.parameters)
    stopping = {Outcome.FAIL, Outcome.FROZEN} & {*endings}
    return Coverage(
        rule=rule.id,
        passes=(rule.id, "pass") in pinned,
        fails=any((rule.id, each.value) in pinned for each in stopping) if stopping else None,
        absent=(rule.id, "absent") in pinned if Outcome.UNKNOWN in endings else None,
    )


def _faults(trial: Trial, decision: Decision) -> Iterator[str]:
    if decision.verdict is not trial.expect:
        yield f"expected {trial.expect}, got {decision.verdict}: {_summary(decision.findings)}"
    # Where the release was to be allowed, that fault has named every rule that stopped it.
    if trial.rules is not None and not (trial.expect is Verdict.ALLOW and decision.verdict is not Verdict.ALLOW):
        found = outcomes(decision)
        for name in dict.fromkeys((*found, *trial.rules)):
            wanted = trial.rules.get(name, Outcome.PASS)
            if _shadowed(decision.of(name)) and (wanted is Outcome.SHADOW or name not in trial.rules):
                continue  # it gates nothing, so only a trial that names it says how it ends
            if found.get(name) is not wanted:
                told = _summary([finding for finding in decision.of(name) if finding.outcome is not Outcome.PASS])
                yield f"expected {name} to end as {wanted}, got {found.get(name, 'no finding')}: {told}"
    spoken = "\n".join(
        text
        for finding in decision.findings
        if finding.outcome is not Outcome.PASS
        for text in (finding.title, finding.required, finding.found)
    )
    for reason in trial.reasons:
        if reason not in spoken:
            yield f"no finding says: {reason}"


def _shadowed(findings: Sequence[Finding]) -> bool:
    return any(finding.outcome is Outcome.SHADOW for finding in findings)


def _summary(findings: Sequence[Finding]) -> str:
    told = [
        f"{finding.rule} {finding.outcome}, {finding.title}"
        for finding in findings
        if finding.outcome is not Outcome.PASS
    ]
    return "; ".join(told) or "every rule passed"


def _pinned(ran: Ran) -> Iterator[tuple[str, str]]:
    """What the trial itself expects of each rule; what happens to come out pins down nothing."""
    if ran.trial.rules is None:
        return
    for name in outcomes(ran.decision):
        outcome = ran.trial.rules.get(name, Outcome.PASS)
        if outcome is Outcome.UNKNOWN:
            if any(not finding.evidence for finding in ran.decision.of(name)):
                yield name, "absent"
        else:
            yield name, outcome.value
