# SPDX-License-Identifier: Apache-2.0
"""sbom.present: an inventory of the components of this very digest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from policy.facts import Sbom
from policy.identity import foreign, signature
from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import Case, Parameter, RuleType
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust, made_by
from policy.wording import listed

PRODUCERS: Final = Parameter(
    name="producers",
    sense=Sense(kind=Kind.ACCEPTS),
    kind="list of producers",
    required=False,
    meaning="the trusted producers that are accepted; without it, every one under trust.producers",
)

LATEST_PRODUCERS: Final = replace(PRODUCERS, sense=Sense(kind=Kind.ACCEPTS, latest=True))
"""The same where the SBOM received last decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SbomDemand:
    """Parameters of sbom.present."""

    formats: tuple[str, ...]
    min_components: int
    producers: tuple[str, ...]


def read_producers(section: Section, trust: Trust) -> tuple[str, ...]:
    """The accepted producers, every trusted one without `producers`; raises PolicyError."""
    if section.has("producers"):
        return section.references("producers", trust.producers, what="producer")
    if not trust.producers:
        raise section.refuse("producers", "the policy trusts no producer", remedy="add one under trust.producers")
    return tuple(trust.producers)


def trusted_sboms(producers: tuple[str, ...], case: Case) -> list[Sbom] | Judgement:
    """The SBOMs by accepted producers, or the judgement when there is none: absent or another's."""
    items = case.evidence.sboms
    if not items:
        return unknown("no verified SBOM of this digest")
    accepted = [case.trust.producers[name] for name in producers]
    trusted = made_by(items, accepted)
    if trusted:
        return trusted
    found = dict.fromkeys(f"an SBOM {signature(item.origin)}" for item in items)
    signers = (producer.signer for producer in accepted)
    cause = foreign((item.origin for item in items), signers, "the key is no accepted producer's")
    return failed(cause, items, found=listed(found))


def _read_sbom(section: Section, trust: Trust) -> SbomDemand:
    return SbomDemand(
        formats=section.choices("formats", ("spdx", "cyclonedx")),
        min_components=section.integer("minComponents", least=1),
        producers=read_producers(section, trust),
    )


def _judge_sbom(demand: SbomDemand, case: Case) -> Judgement:
    trusted = trusted_sboms(demand.producers, case)
    if isinstance(trusted, Judgement):
        return trusted
    good = [item for item in trusted if item.format in demand.formats and item.components >= demand.min_components]
    if good:
        return passed(good, found=listed(f"{item.format} with {item.components} components" for item in good))
    causes = dict.fromkeys(
        f"the format is {item.format}"
        if item.format not in demand.formats
        else f"the SBOM lists {item.components} components"
        for item in trusted
    )
    return failed(
        listed(causes),
        trusted,
        found=listed(f"{item.format} with {item.components} components" for item in trusted),
    )


SBOM = RuleType(
    code="sbom.present",
    control="artifact",
    title="An inventory of components",
    description=(
        "When a vulnerability becomes known later, only an inventory of this very digest tells whether it is affected. "
        "An inventory without components is none."
    ),
    success="has an inventory of its components",
    failure="needs an SBOM of this digest",
    remedy="the build job makes an SBOM of this digest in an accepted format: signer sign --evidence SBOM",
    supply="the build job attaches an SBOM of this digest: signer evidence add SBOM",
    evidence="SPDX or CycloneDX predicate whose subject is the digest, by an accepted producer; attested only.",
    parameters=(
        Parameter(
            name="formats",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of spdx, cyclonedx",
            required=True,
            meaning="the accepted formats",
        ),
        Parameter(
            name="minComponents",
            sense=Sense(kind=Kind.LEAST, least=1),
            kind="integer",
            required=True,
            meaning="how many components it lists at least; 1 or more",
        ),
        PRODUCERS,
    ),
    example="{id: SBM-1, type: sbom.present, control: artifact, level: minimum, formats: [spdx], minComponents: 1}",
    needs_provenance=False,
    read=_read_sbom,
    require=lambda demand: (
        f"an SBOM in {' or '.join(demand.formats)} by {' or '.join(demand.producers)} "
        f"with at least {demand.min_components} components"
    ),
    judge=_judge_sbom,
)
