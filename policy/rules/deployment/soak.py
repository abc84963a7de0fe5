# SPDX-License-Identifier: Apache-2.0
"""deployment.soak: this very digest stood the test of an earlier environment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from policy.decision import Outcome
from policy.judgement import Judgement, unknown
from policy.ledger_facts import Reached
from policy.rule import Case, Parameter, RuleType
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, moment, span

ALLOWED: Final = "allowed"
SINCE: Final = (ALLOWED, "deployed")
"""What the time counts from; a deployment comes after the signature that allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakDemand:
    """Parameters of deployment.soak."""

    after: str
    """The earlier environment, of the same policy."""
    min_soak: timedelta
    since: str


def _read(section: Section, _: Trust) -> SoakDemand:
    min_soak = section.duration("minSoak")
    return SoakDemand(
        after=section.name("after"),
        min_soak=timedelta() if min_soak is None else min_soak,
        since=section.choice("since", SINCE) if section.has("since") else ALLOWED,
    )


def _judge(demand: SoakDemand, case: Case) -> Judgement:
    ledger = case.release.ledger
    known = ledger.allowed if demand.since == ALLOWED else ledger.deployed
    reached = {each.sha256: each for each in known if each.environment == demand.after}
    missing = [subject.name for subject in case.subjects if subject.sha256 not in reached]
    if missing:
        return unknown(f"no record that this digest was {demand.since} for {demand.after}")
    steps = [reached[subject.sha256] for subject in case.subjects]
    found = listed(f"{demand.since} for {demand.after} {moment(step.at)}" for step in steps)
    ahead = [step for step in steps if step.at > case.now + case.clock_skew]
    if ahead:
        return _ended(Outcome.FAIL, steps, found, f"{moment(ahead[0].at)} lies in the future")
    early = [step for step in steps if case.now - step.at < demand.min_soak]
    if early:
        youngest = max(early, key=lambda step: step.at)
        cause = f"{span(case.now - youngest.at)} of {span(demand.min_soak)} have passed"
        remedy = f"send the same request again from {moment(youngest.at + demand.min_soak)} on: signer sign"
        return _ended(Outcome.FAIL, steps, found, cause, remedy)
    return _ended(Outcome.PASS, steps, found)


def _ended(outcome: Outcome, steps: Iterable[Reached], found: str, cause: str = "", remedy: str = "") -> Judgement:
    leaves = tuple(dict.fromkeys(step.leaf for step in steps))
    return Judgement(outcome=outcome, cause=cause, found=found, evidence=leaves, bound="subject", remedy=remedy)


SOAK = RuleType(
    code="deployment.soak",
    control="deployment",
    title="Time in an earlier environment",
    description=(
        "What breaks in staging breaks there and not in production, when the same bytes run there first and for long "
        "enough. Only this digest counts: the previous build under the same tag says nothing."
    ),
    success="was in the earlier environment for long enough",
    failure="needs more time in the earlier environment",
    remedy="the release manager waits and sends the same request again: signer sign",
    supply="the pipeline has this digest signed for the earlier environment first: signer sign --environment NAME",
    evidence="The ledger's own leaves: the first signed ALLOW, or the first recorded deployment, of this digest under "
    "a policy of the same name.",
    parameters=(
        Parameter(
            name="after",
            sense=Sense(kind=Kind.NAMES),
            kind="environment",
            required=True,
            meaning="the earlier environment of this policy",
        ),
        Parameter(
            name="minSoak",
            sense=Sense(kind=Kind.SPAN, absent="0s"),
            kind="duration",
            required=False,
            meaning="how long ago at least; without it, any time before",
        ),
        Parameter(
            name="since",
            sense=Sense(kind=Kind.LEAST, order=SINCE, absent=ALLOWED),
            kind=" or ".join(SINCE),
            required=False,
            meaning="what the time counts from: the signature (the default), or the first recorded deployment",
        ),
    ),
    example="{id: SOK-1, type: deployment.soak, control: deployment, level: minimum, after: staging, minSoak: 2h}",
    needs_provenance=False,
    read=_read,
    require=lambda demand: (
        f"this digest {demand.since} for {demand.after}"
        f"{f' at least {span(demand.min_soak)} ago' if demand.min_soak else ' before'}"
    ),
    judge=_judge,
    ceiling=lambda _: "minimum",
    stage="release",
)
