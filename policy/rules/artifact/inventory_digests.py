# SPDX-License-Identifier: Apache-2.0
"""sbom.digests: the inventory names its components by digest, and not only by name and version."""

from __future__ import annotations

from dataclasses import dataclass

from policy.decision import Offender
from policy.facts import Sbom
from policy.judgement import Judgement, failed, passed, unknown, worst
from policy.rule import Case, Parameter, RuleType, latest
from policy.rules.artifact.sbom import LATEST_PRODUCERS, read_producers, trusted_sboms
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestsDemand:
    """Parameters of sbom.digests."""

    producers: tuple[str, ...]
    max_undigested: int


def _read_digests(section: Section, trust: Trust) -> DigestsDemand:
    return DigestsDemand(
        producers=read_producers(section, trust), max_undigested=section.integer("maxUndigested", least=0, default=0)
    )


def _judge_digests(demand: DigestsDemand, case: Case) -> Judgement:
    trusted = trusted_sboms(demand.producers, case)
    if isinstance(trusted, Judgement):
        return trusted
    return worst(_judge_one(demand, item) for item in latest(trusted))


def _judge_one(demand: DigestsDemand, item: Sbom) -> Judgement:
    found = f"{item.format} with {item.components} components"
    if item.undigested is None or not item.components:
        return unknown("the SBOM does not tell the digests of components", [item], found=found, bound="subject")
    found += f", {item.undigested} of them without a digest"
    if item.undigested > demand.max_undigested:
        return failed(
            f"{item.undigested} components carry no digest",
            [item],
            found=found,
            offenders=tuple(Offender(id=name) for name in item.bare),
        )
    return passed([item], found=found)


DIGESTS = RuleType(
    code="sbom.digests",
    control="artifact",
    title="Components named by digest",
    description=(
        "A name and a version can be published again with other content. Only the digest of a component tells what was "
        "really put in. Among the SBOMs of accepted producers the one received last decides."
    ),
    success="has an inventory that names its components by digest",
    failure="needs an SBOM with digests of its components",
    remedy="the build job makes the SBOM of what it really fetched, with digests: signer sign --evidence SBOM",
    supply="the build job attaches an SBOM of this digest: signer evidence add SBOM",
    evidence="SPDX (`checksums` of packages) or CycloneDX (`hashes` of components) whose subject is the digest, by an "
    "accepted producer; attested only.",
    parameters=(
        LATEST_PRODUCERS,
        Parameter(
            name="maxUndigested",
            sense=Sense(kind=Kind.MOST, absent=0),
            kind="integer",
            required=False,
            meaning="how many components without a digest are accepted, as the artifact itself; 0 without it",
        ),
    ),
    example="{id: SBM-2, type: sbom.digests, control: artifact, level: strong, maxUndigested: 1}",
    needs_provenance=False,
    read=_read_digests,
    require=lambda demand: (
        f"the latest SBOM by {' or '.join(demand.producers)}: at most {demand.max_undigested} components without digest"
    ),
    judge=_judge_digests,
)
