# SPDX-License-Identifier: Apache-2.0
"""source.reviewers: people without a part in the change approved the very commit that was built."""

from __future__ import annotations

from dataclasses import dataclass

from policy.judgement import Judgement
from policy.rule import Case, Parameter, RuleType
from policy.rules.source.change import COLLECTORS, EVIDENCE, SUPPLY, change_effort, read_change, too_few
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewersDemand:
    """Parameters of source.reviewers."""

    collectors: tuple[str, ...]
    least: int


def _read(section: Section, trust: Trust) -> ReviewersDemand:
    return ReviewersDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        least=section.integer("min", least=1),
    )


def _require(demand: ReviewersDemand) -> str:
    return (
        f"a review record by {' or '.join(demand.collectors)}: at least {demand.least} standing approvals of the head "
        "commit, none by its authors or committers, the builder's trigger or the requester"
    )


def _judge(demand: ReviewersDemand, case: Case) -> Judgement:
    change = read_change(demand.collectors, case)
    if isinstance(change, Judgement):
        return change
    found = change.reviewers
    short = too_few(change, found, least=demand.least, what="independent approvals of the head commit")
    return short or change.passed(found.found)


REVIEWERS = RuleType(
    code="source.reviewers",
    control="source",
    title="Independent reviewers",
    description=(
        "One person must not put code into a release unseen, and an approval of an earlier commit has not seen what "
        "came after it. Reviewers count who had no part in the change, as the access document tells people apart: the "
        "same human under an e-mail address, a login and a certificate is one."
    ),
    success="was approved by independent reviewers",
    failure="needs independent reviews of the commit that was built",
    remedy="the developer asks somebody who wrote none of it, and does not merge or build it, to approve the head "
    "commit; then: signer sign --evidence PROVENANCE --evidence RECORD",
    supply=SUPPLY,
    evidence=EVIDENCE,
    parameters=(
        COLLECTORS,
        Parameter(
            name="min",
            sense=Sense(kind=Kind.LEAST, least=1),
            kind="integer",
            required=True,
            meaning="how many independent people must have approved",
        ),
    ),
    example="{id: SRC-3, type: source.reviewers, control: source, level: better, collectors: [forge], min: 2}",
    needs_provenance=True,
    read=_read,
    require=_require,
    judge=_judge,
    effort=change_effort,
)
