# SPDX-License-Identifier: Apache-2.0
"""artifact.provenance: where the artifact comes from is told whole: source, commit, workflow and time."""

from __future__ import annotations

from dataclasses import dataclass

from policy.judgement import Judgement, passed, unknown
from policy.rule import Case, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.trust import Trust
from policy.wording import listed, moment, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginDemand:
    """artifact.provenance has no parameters."""


def _read_origin(_section: Section, _trust: Trust) -> OriginDemand:
    return OriginDemand()


def _judge_origin(_demand: OriginDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None:
        return no_trusted_provenance(case, case.trust.builders)
    stated = {
        "repository": None if item.repository is None else quote(item.repository),
        "ref": None if item.ref is None else quote(item.ref),
        "commit": None if item.commit is None else quote(item.commit),
        "workflow": None if item.workflow is None else quote(item.workflow),
        "end of the build": None if item.finished is None else moment(item.finished),
    }
    found = ", ".join(f"{name} {'not stated' if value is None else value}" for name, value in stated.items())
    missing = [name for name, value in stated.items() if value is None]
    if missing:
        return unknown(f"the provenance does not name {listed(missing)}", [item], found=found, bound="subject")
    return passed([item], found=found)


ORIGIN = RuleType(
    code="artifact.provenance",
    control="artifact",
    title="Provenance that tells the whole way",
    description=(
        "Provenance identifies an artifact only when it leads back to the source: repository, ref and commit, the "
        "workflow that ran and when it ended. What it leaves out, nobody can look up later."
    ),
    success="has provenance that leads back to its source",
    failure="needs provenance that leads back to its source",
    remedy="the pipeline's owner builds this digest with a trusted builder: signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches provenance that names repository, ref, commit, workflow and time: "
    "signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only.",
    parameters=(),
    example="{id: ART-2, type: artifact.provenance, control: artifact, level: strong}",
    needs_provenance=True,
    read=_read_origin,
    require=lambda _: "provenance by a trusted builder that names repository, ref, commit, workflow and the end",
    judge=_judge_origin,
)
