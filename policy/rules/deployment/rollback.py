# SPDX-License-Identifier: Apache-2.0
"""deployment.rollback: how to go back is written down for this very digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from policy.decision import Outcome
from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import ENDINGS, Case, Parameter, RuleType
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, quote

KIND: Final = "rollback-plan"
"""The kind of document that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackDemand:
    """Parameters of deployment.rollback."""

    submitters: tuple[str, ...]
    """Who may bring the plan; empty means anybody who may bring evidence."""


def _judge(demand: RollbackDemand, case: Case) -> Judgement:
    plans = [item for item in case.evidence.documents if item.kind == KIND]
    if not plans:
        return unknown("no rollback plan of this digest")
    good = [item for item in plans if not demand.submitters or item.origin.submitter in demand.submitters]
    if not good:
        found = listed(dict.fromkeys(f"a plan by {quote(str(item.origin.submitter))}" for item in plans))
        return failed("the submitter is not accepted", plans, found=found)
    return passed(good, found=listed(f"a plan by {item.origin.submitter}" for item in good))


def _read(section: Section, _: Trust) -> RollbackDemand:
    return RollbackDemand(submitters=section.words("submitters") if section.has("submitters") else ())


ROLLBACK = RuleType(
    code="deployment.rollback",
    control="deployment",
    title="A rollback plan for this digest",
    description=(
        "Whoever is on call at night needs to know which digest ran before and how to return to it. A plan for "
        "another build may name a schema or a digest that is no longer there."
    ),
    success="has a rollback plan",
    failure="needs a rollback plan by somebody accepted",
    remedy="somebody accepted writes the plan: signer evidence add PLAN --kind rollback-plan --subject NAME@sha256:HEX",
    supply="the release manager writes the plan: "
    "signer evidence add PLAN --kind rollback-plan --subject NAME@sha256:HEX",
    evidence="A document of the kind rollback-plan whose subject is the digest; submitted, since nobody signs it.",
    parameters=(
        Parameter(
            name="submitters",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of robots",
            required=False,
            meaning="who may bring it, `robot:release`; without it, everybody with the grant to bring evidence",
        ),
    ),
    example="{id: RBK-1, type: deployment.rollback, control: deployment, level: minimum}",
    needs_provenance=False,
    read=_read,
    require=lambda demand: (
        "a rollback plan of this digest" + (f" by {' or '.join(demand.submitters)}" if demand.submitters else "")
    ),
    judge=_judge,
    ceiling=lambda _: "minimum",
    endings=lambda demand: ENDINGS if demand.submitters else (Outcome.PASS, Outcome.UNKNOWN),
    stage="release",
)
