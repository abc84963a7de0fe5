# SPDX-License-Identifier: Apache-2.0
"""source.workflow: the workflow that built is part of the reviewed source, or one that is pinned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from policy.facts import Provenance
from policy.judgement import Judgement
from policy.rule import Case, Parameter, RuleType
from policy.rules.source.change import COLLECTORS, EVIDENCE, SUPPLY, Change, change_effort, read_change
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, quote

_PINNED = re.compile(r"https://[A-Za-z0-9._~/-]+@(?:[0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDemand:
    """Parameters of source.workflow."""

    collectors: tuple[str, ...]
    reusable: tuple[str, ...]


def _read(section: Section, trust: Trust) -> WorkflowDemand:
    demand = WorkflowDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        reusable=section.words("reusable") if section.has("reusable") else (),
    )
    for name in demand.reusable:
        if _PINNED.fullmatch(name) is None:
            raise section.refuse(
                "reusable",
                f"{quote(name)} is no workflow at a commit",
                remedy="write https://HOST/OWNER/REPOSITORY/PATH@COMMIT with the whole commit: branches and tags move",
            )
    return demand


def _require(demand: WorkflowDemand) -> str:
    own = "the workflow that built is a file of the built commit"
    others = f", or {' or '.join(demand.reusable)}" if demand.reusable else ""
    return (
        f"{own}{others}; a review record by {' or '.join(demand.collectors)}: the ref that it ran on is never "
        "rewritten or deleted"
    )


def _judge(demand: WorkflowDemand, case: Case) -> Judgement:
    change = read_change(demand.collectors, case)
    if isinstance(change, Judgement):
        return change
    built = change.provenance
    if built.workflow is None or built.ref is None:
        return change.unknown("the provenance does not name the workflow that built and its ref")
    own = f"https://{built.repository}/{built.workflow}@{built.ref}"
    ran = _signing_workflow(built) or own
    found = f"workflow {quote(ran)} for {quote(built.workflow)} at commit {quote(built.commit or '')}"
    if ran not in (own, *demand.reusable):
        return change.failed(
            f"the workflow {quote(ran)} is neither of the built commit nor pinned by the policy", found=found
        )
    return _judge_ref(change, built.ref, found)


def _signing_workflow(built: Provenance) -> str | None:
    """The workflow in whose name the builder signed; None when the builder is no workflow."""
    identity = built.origin.identity
    if identity is not None and identity.workflow is not None:
        return identity.workflow
    return built.builder_id if "@" in built.builder_id else None


def _judge_ref(change: Change, ref: str, found: str) -> Judgement:
    statements = [each for record in change.records for each in record.protected if each.ref == ref]
    if not statements:
        return change.unknown(f"no review record says how the ref {quote(ref)} is protected", found=found)
    faults = [
        fault
        for each in statements
        for fault, there in (("can be rewritten", each.force_push), ("can be deleted", each.deletion))
        if there
    ]
    if faults:
        return change.failed(f"the ref {quote(ref)} {listed(dict.fromkeys(faults))}", found=found)
    return change.passed(found)


WORKFLOW = RuleType(
    code="source.workflow",
    control="source",
    title="Workflow provenance",
    description=(
        "Reviews of the source say nothing of a workflow that comes from elsewhere, and a workflow at a branch or tag "
        "is whatever that points at today. The workflow that built must be a file of the commit that was reviewed, run "
        "from a ref that stays, or one that the policy pins by its commit."
    ),
    success="was built by a workflow of the reviewed commit, or a pinned one",
    failure="needs a workflow of the reviewed commit, or a pinned one",
    remedy="the pipeline's owner builds with the repository's own workflow from a protected ref, or the security team "
    "reviews the reusable workflow and pins its commit under reusable; then: signer sign --evidence PROVENANCE",
    supply=f"the pipeline's owner attaches provenance that names workflow and ref; {SUPPLY}",
    evidence=EVIDENCE,
    parameters=(
        COLLECTORS,
        Parameter(
            name="reusable",
            sense=Sense(kind=Kind.ACCEPTS, absent=()),
            kind="list of workflows",
            required=False,
            meaning="reusable workflows of other repositories, each https://HOST/OWNER/REPOSITORY/PATH@COMMIT",
        ),
    ),
    example="{id: SRC-6, type: source.workflow, control: source, level: strong, collectors: [forge]}",
    needs_provenance=True,
    read=_read,
    require=_require,
    judge=_judge,
    effort=change_effort,
)
