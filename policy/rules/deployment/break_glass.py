# SPDX-License-Identifier: Apache-2.0
"""deployment.break-glass: every release under break-glass is in the log, and somebody has looked at it since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from policy.decision import Outcome
from policy.judgement import Judgement, unknown
from policy.rule import Case, Parameter, RuleType
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, moment, span


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassDemand:
    """Parameters of deployment.break-glass."""

    review_within: timedelta


def _read(section: Section, _: Trust) -> BreakGlassDemand:
    within = section.duration("reviewWithin")
    if within is None:
        raise section.refuse("reviewWithin", "is missing", remedy="for example reviewWithin: 2d")
    return BreakGlassDemand(review_within=within)


def _judge(demand: BreakGlassDemand, case: Case) -> Judgement:
    state = case.release.ledger.break_glass
    if state is None:
        return unknown("the ledger does not say whether break-glass was used")
    debts = [debt for debt in state.debts if debt.environment == case.release.environment]
    # Other releases are no evidence about this one: a review that falls due voids no approval.
    found = listed(
        f"a release of sha256:{debt.sha256[:12]} at {moment(debt.at)} (leaf {debt.leaf[:12]})" for debt in debts
    )
    late = [debt for debt in debts if case.now - debt.at > demand.review_within]
    if late:
        return Judgement(
            outcome=Outcome.FAIL,
            cause=f"{len(late)} of them unreviewed for more than {span(demand.review_within)}",
            found=f"unreviewed: {found}",
        )
    return Judgement(
        outcome=Outcome.PASS,
        cause="",
        found=f"unreviewed, in time: {found}" if debts else "no release under break-glass waits for its review",
    )


BREAK_GLASS = RuleType(
    code="deployment.break-glass",
    control="deployment",
    title="Releases under break-glass are logged and reviewed",
    description=(
        "An emergency may bypass a rule and never the record. What was released under break-glass stands in the ledger "
        "as such, and while a review is overdue nothing else goes to the same environment: an emergency that nobody "
        "looks at afterwards is a back door."
    ),
    success="follows on no overdue review",
    failure="waits for reviews of releases under break-glass",
    remedy="a reviewer reviews each release that is listed, and the pipeline sends the request again: signer sign",
    supply="the operator runs a version that records break-glass: signer doctor",
    evidence="The ledger's own record of break-glass under this policy.",
    parameters=(
        Parameter(
            name="reviewWithin",
            sense=Sense(kind=Kind.AGE),
            kind="duration",
            required=True,
            meaning="how long a release under break-glass may stay unreviewed",
        ),
    ),
    example="{id: BRK-1, type: deployment.break-glass, control: deployment, level: strong, reviewWithin: 2d}",
    needs_provenance=False,
    read=_read,
    require=lambda demand: f"no release under break-glass unreviewed for more than {span(demand.review_within)}",
    judge=_judge,
    stage="release",
    rests_on_evidence=False,
)
