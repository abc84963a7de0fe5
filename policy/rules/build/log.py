# SPDX-License-Identifier: Apache-2.0
"""build.log: a log of the build that nobody can change unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import Case, Parameter, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, quote

BUILD_LOG = "build-log"
"""The kind of a submitted document, and the name of a byproduct in provenance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDemand:
    """Parameters of build.log."""

    submitted: bool
    kept: bool


def _read_log(section: Section, trust: Trust) -> LogDemand:
    demand = LogDemand(
        submitted=section.boolean("submitted", default=False), kept=section.boolean("kept", default=False)
    )
    if demand.submitted and all(builder.principal is None for builder in trust.builders.values()):
        raise section.refuse(
            "submitted",
            "no trusted builder has a principal that could submit its log",
            remedy="add `principal: robot:ID` to the builder under trust.builders",
        )
    return demand


def _require_log(demand: LogDemand) -> str:
    ways = ["the log's sha256 as byproduct of signed provenance" + (", and that log itself" if demand.kept else "")]
    if demand.submitted:
        ways.append("a build log submitted by the builder's own principal")
    return ", or ".join(ways)


def _judge_log(demand: LogDemand, case: Case) -> Judgement:
    item = case.provenance
    builder = None if item is None else case.trust.builder_of(item)
    if item is None or builder is None:
        return no_trusted_provenance(case, case.trust.builders)
    logs = [document for document in case.evidence.documents if document.kind == BUILD_LOG]
    held = [log for log in logs if log.origin.digest in item.logs]
    if item.logs and (held or not demand.kept):
        found = f"the provenance names the log sha256:{item.logs[0]}"
        return passed([item, *held], found=f"{found}, which is kept") if demand.kept else passed([item], found=found)
    if demand.submitted:
        own = [log for log in logs if builder.principal is not None and log.origin.submitter == builder.principal]
        if own:
            return passed([item, *own], found=f"a build log submitted by {builder.principal}")
        if logs:
            submitters = listed(dict.fromkeys(quote(log.origin.submitter or "nobody known") for log in logs))
            return failed(
                "somebody else than the builder submitted the log",
                [item, *logs],
                found=f"a build log submitted by {submitters}",
            )
    cause = "the log that the provenance names is not kept" if item.logs else "the provenance names no build log"
    return unknown(cause, [item], found=f"provenance by {item.builder}", bound="subject")


def _ceiling(demand: LogDemand) -> Literal["minimum", "better", "strong"]:
    return "better" if demand.submitted else "strong"


LOG = RuleType(
    code="build.log",
    control="build",
    title="A build log that cannot change unseen",
    description=(
        "When a build is questioned later, its log is the witness. A digest inside signed provenance binds the log to "
        "the builder; a log that the builder's own principal submitted is bound by the ledger, from its receipt on. "
        "A log that somebody else brings says nothing. With `submitted` the level is better at most."
    ),
    success="has a build log that cannot change unseen",
    failure="needs the builder's own log",
    remedy="the pipeline's owner lets the builder submit its log itself: "
    "signer evidence add --kind build-log --subject sha256:HEX FILE",
    supply="the pipeline's owner attaches provenance that names the digest of the log: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder, with a byproduct named `build-log` "
    "and its sha256; attested. With `submitted`, also a document of kind build-log about the digest, submitted by the "
    "`principal` of that builder.",
    parameters=(
        Parameter(
            name="submitted",
            sense=Sense(kind=Kind.ALLOWS, absent=False),
            kind="boolean",
            required=False,
            meaning="whether a log that the builder's principal submitted counts as well; false without it",
        ),
        Parameter(
            name="kept",
            sense=Sense(kind=Kind.INSISTS, absent=False),
            kind="boolean",
            required=False,
            meaning="whether the log that the provenance names must itself be kept here; false without it",
        ),
    ),
    example="{id: BLD-6, type: build.log, control: build, level: strong}",
    needs_provenance=True,
    read=_read_log,
    require=_require_log,
    judge=_judge_log,
    ceiling=_ceiling,
)
