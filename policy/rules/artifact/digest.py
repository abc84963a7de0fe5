# SPDX-License-Identifier: Apache-2.0
"""artifact.digest: the digest was fixed by who built it, and not first named by who asks for a signature."""

from __future__ import annotations

from dataclasses import dataclass

from policy.judgement import Judgement, passed
from policy.rule import Case, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestDemand:
    """artifact.digest has no parameters."""


def _read_digest(_section: Section, _trust: Trust) -> DigestDemand:
    return DigestDemand()


def _judge_digest(_demand: DigestDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None:
        return no_trusted_provenance(case, case.trust.builders)
    return passed([item], found=f"the builder {item.builder} names this digest in evidence that is kept")


DIGEST = RuleType(
    code="artifact.digest",
    control="artifact",
    title="A digest that its builder fixed",
    description=(
        "A tag can move, and a digest that only the request names could be anything. The builder names the digest when "
        "it is made, before anybody judges or approves it; that statement is kept with the decision."
    ),
    success="has a digest that its builder fixed",
    failure="needs a digest that a trusted builder fixed",
    remedy="the pipeline's owner lets a trusted builder make this digest and state it: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches the builder's provenance of this digest: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only.",
    parameters=(),
    example="{id: ART-1, type: artifact.digest, control: artifact, level: minimum}",
    needs_provenance=True,
    read=_read_digest,
    require=lambda _: "provenance by a trusted builder that names this very digest",
    judge=_judge_digest,
)
