# SPDX-License-Identifier: Apache-2.0
"""Rules: the types that exist and the rules that a document makes of them.

A rule type is data about one judgement (what, why, which evidence, which parameters, who can fix it) and two pure
functions: `read` turns its part of the document into typed parameters, `judge` turns a case into a judgement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final, Generic, Literal, TypeVar

from policy.decision import Outcome
from policy.facts import (
    EvidenceFacts,
    Provenance,
    Sbom,
    SubjectFact,
    TestResult,
    Vex,
    VulnerabilityScan,
)
from policy.judgement import Judgement
from policy.ledger_facts import LedgerFacts
from policy.release import Release
from policy.schema import Section
from policy.sense import Sense
from policy.trust import Trust
from policy.wording import moment, span

CONTROLS: Final = ("source", "build", "artifact", "deployment")
"""The four controls of the build factory, in the order in which they act."""
LEVELS: Final = ("minimum", "better", "strong")
"""The levels of a control, the lowest first."""
MODES: Final = ("enforce", "shadow")
"""Whether a rule gates, or is judged beside those that do."""

Stage = Literal["evidence", "release", "approval"]
ENDINGS: Final = (Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN)
"""How most rules can end."""
STAGES: Final[tuple[Stage, ...]] = ("evidence", "release", "approval")
"""In which order rules are judged: what the evidence says, whether it may be released now, whether people approve."""

P = TypeVar("P")
K = TypeVar("K")
V = TypeVar("V")
Received = TypeVar("Received", TestResult, VulnerabilityScan, Sbom, Vex)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One key of a rule type in the document, as the catalogue describes it."""

    name: str
    kind: str
    required: bool
    meaning: str
    sense: Sense | None = None
    """How its values are ordered from loose to tight; None when no order can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one rule sees of one group of subjects: evidence that covers each of them, and one instant.

    All of it is attested but documents, which nobody signs: a rule that reads them asks who submitted them.
    """

    trust: Trust
    evidence: EvidenceFacts
    """In receipt order; only items bound as their kind demands."""
    provenance: Provenance | None
    """The one provenance, by a trusted builder, that answers for the group; None when there is none."""
    subjects: tuple[SubjectFact, ...]
    """The subjects of the group."""
    release: Release
    """What is asked and what the ledger holds; for rules of a later stage with the findings of the earlier ones."""
    now: datetime
    clock_skew: timedelta
    max_evidence_age: timedelta
    _worked_out: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def ledger(self) -> LedgerFacts:
        """What the ledger knows."""
        return self.release.ledger

    def once(self, work: Callable[[K, Case], V], of: K) -> V:
        """What `work`, a pure function, makes of this case: worked out once, however many rules ask for it."""
        asked = (work, of)
        if asked not in self._worked_out:
            self._worked_out[asked] = work(of, self)
        answer: V = self._worked_out[asked]
        return answer

    def age_fault(self, at: datetime, *, most: timedelta | None) -> str | None:
        """Say what is wrong with evidence made at `at`, or None; `most` of None means the policy's maxEvidenceAge."""
        limit = self.max_evidence_age if most is None else most
        age = self.now - at
        if age < -self.clock_skew:
            return f"is dated {moment(at)}, which lies in the future"
        if age > limit + self.clock_skew:
            return f"is {span(age)} old ({moment(at)}); at most {span(limit)} is accepted"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleType(Generic[P]):
    """One kind of judgement and everything a reader needs to know about it."""

    code: str
    control: str
    title: str
    """A noun phrase: what the rule is about."""
    description: str
    """Why the rule exists: the attack or mistake that it stops."""
    success: str
    """The title of a finding that passed."""
    failure: str
    """The beginning of the title of a finding that failed; the cause follows."""
    remedy: str
    """Who can fix a failure, and one command."""
    supply: str
    """Who can bring missing evidence, and one command."""
    evidence: str
    """Which evidence the rule needs, and whether submitted evidence counts beside attested."""
    parameters: tuple[Parameter, ...]
    example: str
    """One rule as it stands in a document, a YAML flow mapping."""
    needs_provenance: bool
    """True: without a provenance by a trusted builder the rule never passes. All rules of an environment that read
    provenance are judged on the same item, so that no two half-good builds add up to a good one."""
    read: Callable[[Section, Trust], P]
    require: Callable[[P], str]
    """What is required, in words, from the parameters alone."""
    judge: Callable[[P, Case], Judgement]
    ceiling: Callable[[P], Literal["minimum", "better", "strong"]] = lambda _: "strong"
    """The highest level that a rule with these parameters may claim."""
    stage: Stage = "evidence"
    """When it is judged: a rule of a later stage sees the findings of the earlier ones."""
    rests_on_evidence: bool = True
    """False: it can pass without anything to count, as outside a freeze window; such a pass allows nothing alone."""
    endings: Callable[[P], tuple[Outcome, ...]] = lambda _: ENDINGS
    """How a rule with these parameters can end, beside waiting; its tests have to expect each."""
    reads_provenance: bool = False
    """True: the rule compares its evidence with the provenance where other rules demand one."""
    effort: Callable[[P, EvidenceFacts], int] = lambda _demand, _evidence: 1
    """How much work one judgement is at most, in judgements of a usual size (policy.budget)."""

    @property
    def compares_provenance(self) -> bool:
        """Whether the judgement depends on which provenance answers."""
        return self.needs_provenance or self.reads_provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a policy document."""

    id: str
    kind: RuleType[Any]
    level: str
    parameters: Any
    """The typed parameters that `kind.read` made."""
    required: str
    """What is required, in words."""
    mode: Literal["enforce", "shadow"] = "enforce"
    """shadow: judged and shown, and no part of the verdict (policy.shadow)."""
    effective_on: datetime | None = None
    """From when on a rule in shadow is in force all the same."""
    waivable: bool = False
    """Whether a waiver may count for it."""

    @property
    def type(self) -> str:
        """The code of the rule type."""
        return self.kind.code

    @property
    def control(self) -> str:
        """The control that the rule serves."""
        return self.kind.control

    def judge(self, case: Case) -> Judgement:
        """Judge one case."""
        return self.kind.judge(self.parameters, case)


def latest(items: Sequence[Received]) -> tuple[Received, ...]:
    """The items that no newer one answers for; each of them has to satisfy.

    Newer is what was received later and, where both say when they were made, was not made earlier: a result that was
    held back until now does not stand in for one that was made after it. Items received together have no order.
    """
    if len(items) == 1:
        return tuple(items)
    kept: list[Received] = []
    made: datetime | None = None  # the latest time at which something received later was made
    newest_first = sorted(items, key=lambda item: item.origin.received, reverse=True)
    for _, group in groupby(newest_first, key=lambda item: item.origin.received):
        together: list[Received] = list(group)
        kept += [item for item in together if not kept or (made is not None and (_made(item) or made) > made)]
        made = max((time for time in (made, *map(_made, together)) if time is not None), default=None)
    return tuple(kept)


def _made(item: TestResult | VulnerabilityScan | Sbom | Vex) -> datetime | None:
    """When the evidence was made, as its signer says."""
    match item:
        case VulnerabilityScan():
            return item.finished
        case Vex():
            return item.made
        case TestResult() | Sbom():
            return None
