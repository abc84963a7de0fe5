# SPDX-License-Identifier: Apache-2.0
"""What the judge answers: a verdict and every finding that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """The decision in one word. HOLD waits for approvals and signs nothing."""

    ALLOW = "allow"
    DENY = "deny"
    HOLD = "hold"


class Outcome(StrEnum):
    """How one rule ended. Only PASS, WAIVED, SHADOW and NOT_APPLICABLE let a release through.

    FROZEN and WAITING stand in the way for a time only: a freeze window ends, people approve.
    """

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    FROZEN = "frozen"
    WAITING = "waiting"
    WAIVED = "waived"
    SHADOW = "shadow"
    NOT_APPLICABLE = "not-applicable"


LETS_THROUGH: Final = frozenset({Outcome.PASS, Outcome.WAIVED, Outcome.SHADOW, Outcome.NOT_APPLICABLE})
"""Outcomes that stand in no release's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offender:
    """One thing that a rule found wrong, so that it can be waived alone: a vulnerability, a component's licence."""

    id: str
    package: str | None = None
    """What it was found in, where the evidence tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """One waiver on which a waived finding rests."""

    digest: str
    """sha256 of the statement that two people signed."""
    requested_by: str
    approved_by: str
    expires: datetime
    use: int
    """Which use this would be, from 1."""
    max_uses: int


class Finding(NamedTuple):
    """One rule's judgement of the subjects it names: required, found, evidence, remedy (invariant I10).

    A named tuple, since every judgement makes one for each rule (docs/adr/0016-findings-are-named-tuples.md).
    """

    rule: str
    """The rule's id in the policy document, for example BLD-1."""
    type: str
    """The rule type, for example build.provenance."""
    control: str
    """source, build, artifact or deployment."""
    level: str
    """minimum, better or strong."""
    outcome: Outcome
    title: str
    """One sentence that states the outcome: 'needs provenance by a trusted builder; none counted'."""
    required: str
    found: str
    evidence: tuple[str, ...]
    """sha256 digests of the evidence that was counted or refused."""
    bound: str
    """How that evidence was bound to the subject: subject, source or none."""
    remedy: str
    subjects: tuple[int, ...]
    """Indices of the requested subjects that this finding is about."""
    would: Outcome | None = None
    """For a rule that was set aside (waived, in shadow): how it ended all the same."""
    offenders: tuple[Offender, ...] = ()
    """Everything that is wrong, where the rule can name each part of it."""
    waived_by: tuple[WaiverUse, ...] = ()
    """The waivers that together excuse all of it; empty unless it is waived."""

    @property
    def judged(self) -> tuple[object, ...]:
        """What was judged, without the sentences about it: two judgements with equal parts are the same judgement."""
        return (
            self.rule,
            self.type,
            self.control,
            self.level,
            self.outcome,
            self.would,
            self.evidence,
            self.bound,
            self.subjects,
            self.waived_by,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict over all subjects, all or nothing, with all findings in the policy's order."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    def counting(self, outcome: Outcome) -> tuple[Finding, ...]:
        """The findings that ended in `outcome`."""
        return tuple(finding for finding in self.findings if finding.outcome is outcome)

    @property
    def waivers(self) -> tuple[str, ...]:
        """Digests of all waivers on which the verdict rests: an ALLOW uses each of them once."""
        waived = self.counting(Outcome.WAIVED)
        return tuple(dict.fromkeys(use.digest for finding in waived for use in finding.waived_by))

    @property
    def approvals(self) -> tuple[str, ...]:
        """Digests of all approvals on which the verdict rests: an ALLOW uses them up."""
        counted = (finding for finding in self.counting(Outcome.PASS) if finding.type.startswith("approval."))
        return tuple(dict.fromkeys(digest for finding in counted for digest in finding.evidence))

    @property
    def frozen(self) -> bool:
        """Whether only a freeze window, and perhaps missing approvals, stand in the way."""
        outcomes = {finding.outcome for finding in self.findings}
        return Outcome.FROZEN in outcomes and not outcomes & {Outcome.FAIL, Outcome.UNKNOWN}

    def of(self, rule: str) -> tuple[Finding, ...]:
        """The findings of the rule with this id, one for each group of subjects."""
        return tuple(finding for finding in self.findings if finding.rule == rule)

    def differs(self, other: Decision) -> str:
        """The first rule on which another judgement differs, "verdict" when only that does; "" for the same one.

        Verdict, outcomes, levels, evidence and its binding count. Sentences do not: a clearer one in a later version
        makes no other judgement (docs/adr/0010-replay-compares-judgements.md).
        """
        for mine, theirs in zip_longest(self.findings, other.findings):
            if mine is None or theirs is None or mine.judged != theirs.judged:
                return (mine or theirs).rule
        return "" if self.verdict is other.verdict else "verdict"
