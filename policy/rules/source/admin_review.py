# SPDX-License-Identifier: Apache-2.0
"""source.admin-review: an administrator without a part in the change approved it, even more so a bypass."""

from __future__ import annotations

from dataclasses import dataclass

from policy.judgement import Judgement
from policy.rule import Case, Parameter, RuleType
from policy.rules.source.change import (
    COLLECTORS,
    EVIDENCE,
    KNOW_THEM,
    SUPPLY,
    administrators,
    change_effort,
    read_change,
    too_few,
)
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.separation import UNMAPPED
from policy.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminReviewDemand:
    """Parameters of source.admin-review."""

    collectors: tuple[str, ...]
    least: int


def _read(section: Section, trust: Trust) -> AdminReviewDemand:
    return AdminReviewDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        least=section.integer("min", least=1),
    )


def _require(demand: AdminReviewDemand) -> str:
    return (
        f"a review record by {' or '.join(demand.collectors)}: it says whether a protection was bypassed, and at least "
        f"{demand.least} administrators without a part in the change or the bypass approved the head commit"
    )


def _judge(demand: AdminReviewDemand, case: Case) -> Judgement:
    change = read_change(demand.collectors, case)
    if isinstance(change, Judgement):
        return change
    stated = {record.bypassed for record in change.records} - {None}
    if not stated:
        return change.unknown("no review record says whether a protection was bypassed")
    bypassers = {record.merged_by for record in change.records if record.bypassed} - {None}
    found = administrators(change, bypassers=(person for person in bypassers if person is not None))
    told = f"{found.found}; {'a protection was bypassed' if True in stated else 'no protection was bypassed'}"
    what = "independent approvals of the head commit by administrators"
    if True in stated:
        what += ", and a protection was bypassed"
    short = too_few(change, found, least=demand.least, what=what)
    if short is not None:
        return short
    if UNMAPPED in bypassers:
        cause = "the access document does not know who bypassed a protection"
        return change.unknown(cause, found=told, remedy=KNOW_THEM)
    return change.passed(told)


ADMIN_REVIEW = RuleType(
    code="source.admin-review",
    control="source",
    title="Admin review",
    description=(
        "Administrators can switch protections off or merge past them, so the last word on a change at this level is "
        "an administrator's who neither wrote, merged past a rule, built nor requested it."
    ),
    success="was approved by an administrator without a part in it",
    failure="needs the review of an administrator without a part in the change",
    remedy="the developer asks an administrator of the repository, other than the authors and whoever bypassed a "
    "protection, to approve the head commit; then: signer sign --evidence PROVENANCE --evidence RECORD",
    supply=SUPPLY,
    evidence=EVIDENCE,
    parameters=(
        COLLECTORS,
        Parameter(
            name="min",
            sense=Sense(kind=Kind.LEAST, least=1),
            kind="integer",
            required=True,
            meaning="how many such administrators must have approved",
        ),
    ),
    example="{id: SRC-7, type: source.admin-review, control: source, level: strong, collectors: [forge], min: 1}",
    needs_provenance=True,
    read=_read,
    require=_require,
    judge=_judge,
    effort=change_effort,
)
