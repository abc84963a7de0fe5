# SPDX-License-Identifier: Apache-2.0
"""source.reviews: what the source platform's verification summary (source VSA) says of the commit that was built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from policy.decision import Outcome
from policy.facts import Provenance, SourceSummary
from policy.judgement import Judgement, failed, passed, unknown
from policy.patterns import matches_any
from policy.rule import Case, Parameter, RuleType
from policy.rules.source.join import join
from policy.schema import Section
from policy.sense import Kind, Sense, covers_pattern
from policy.trust import Trust
from policy.wording import listed, quote, span

TWO_PARTY: Final = "SLSA_SOURCE_TWO_PARTY_REVIEWED"
SOURCE_LEVELS: Final = ("SLSA_SOURCE_LEVEL_1", "SLSA_SOURCE_LEVEL_2", "SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_4")

_DEPTH: Final = {name: depth for depth, name in enumerate(SOURCE_LEVELS, start=1)}
_PROPERTY = re.compile(r"(?:SLSA_SOURCE_TWO_PARTY_REVIEWED|ORG_SOURCE_[A-Z0-9_]+)")


def source_level(item: SourceSummary) -> int:
    """The source level that the VSA states; 0 when none, the lowest when it breaks the rule of one per track."""
    return min([_DEPTH[level] for level in item.levels if level in _DEPTH], default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDemand:
    """Parameters of source.reviews."""

    collectors: tuple[str, ...]
    at_least: str | None
    properties: tuple[str, ...]
    refs: tuple[str, ...]
    max_age: timedelta | None


def _read_reviews(section: Section, trust: Trust) -> ReviewDemand:
    demand = ReviewDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        at_least=section.choice("atLeast", SOURCE_LEVELS) if section.has("atLeast") else None,
        properties=section.words("properties") if section.has("properties") else (),
        refs=section.patterns("refs", prefix="refs/") if section.has("refs") else (),
        max_age=section.duration("maxAge"),
    )
    for name in demand.properties:
        if _PROPERTY.fullmatch(name) is None:
            raise section.refuse(
                "properties",
                f"{quote(name)} is no verified property",
                remedy=f"write {TWO_PARTY} or a property ORG_SOURCE_…; levels belong to atLeast",
            )
    if demand.at_least is None and not demand.properties:
        raise section.refuse("atLeast", "nothing is demanded", remedy="add atLeast, properties or both")
    return demand


def _require_reviews(demand: ReviewDemand) -> str:
    parts = [f"a source VSA by {' or '.join(demand.collectors)} for the commit that was built"]
    if demand.at_least is not None:
        parts.append(f"{demand.at_least} or better")
    parts.extend(demand.properties)
    if demand.refs:
        parts.append(f"for ref {' or '.join(demand.refs)}")
    if demand.max_age is not None:
        parts.append(f"at most {span(demand.max_age)} old")
    return "; ".join(parts)


def _ceiling(demand: ReviewDemand) -> Literal["minimum", "better"]:
    """Protected refs are what level 3 says; two-party review, or an organisation's own property, is more.

    No summary says which workflow ran and which administrator looked, so none carries the level strong.
    """
    return "better" if demand.properties or demand.at_least == SOURCE_LEVELS[-1] else "minimum"


def _judge_reviews(demand: ReviewDemand, case: Case) -> Judgement:
    joined = join(case.evidence.sources, demand.collectors, case, what="source attestation")
    if isinstance(joined, Judgement):
        return joined
    # One satisfying item is enough; else the one that comes nearest is the one to tell the developer about.
    return min([_judge_summary(demand, item, joined.provenance, case) for item in joined.items], key=_distance)


def _judge_summary(demand: ReviewDemand, item: SourceSummary, provenance: Provenance, case: Case) -> Judgement:
    found = _describe(item)
    faults = tuple(_faults(demand, item, case))
    if faults:
        return failed(listed(faults), [item], found=found, bound="source")
    silences = tuple(_silences(demand, item))
    if silences:
        return unknown(f"a source VSA does not say {listed(silences)}", [item], found=found, bound="source")
    return passed([item, provenance], found=found, bound="source")


def _distance(judgement: Judgement) -> int:
    return (Outcome.PASS, Outcome.UNKNOWN, Outcome.FAIL).index(judgement.outcome)


def _faults(demand: ReviewDemand, item: SourceSummary, case: Case) -> Iterator[str]:
    if item.result != "PASSED":
        yield f"the source verification ended {quote(item.result)}"
    level = source_level(item)
    if demand.at_least is not None and level < _DEPTH[demand.at_least]:
        yield f"the source level is {level}" if level else "no source level is stated"
    for name in demand.properties:
        # Level 4 is two-party review (SLSA 1.2, source requirements).
        if name not in item.levels and not (name == TWO_PARTY and level == len(SOURCE_LEVELS)):
            yield f"{name} is not stated"
    if demand.refs and item.refs and not any(matches_any(demand.refs, ref) for ref in item.refs):
        yield f"the ref {listed(map(quote, item.refs))} differs"
    if item.verified is not None:
        fault = case.age_fault(item.verified, most=demand.max_age)
        if fault is not None:
            yield f"the source attestation {fault}"


def _silences(demand: ReviewDemand, item: SourceSummary) -> Iterator[str]:
    if demand.refs and not item.refs:
        yield "for which ref it speaks"
    if demand.max_age is not None and item.verified is None:
        yield "when the source was verified"


def _describe(item: SourceSummary) -> str:
    levels = listed(map(quote, item.levels)) or "no level"
    return f"source VSA by {quote(item.verifier)} for commit {quote(item.commit)}: {quote(item.result)}, {levels}"


REVIEWS = RuleType(
    code="source.reviews",
    control="source",
    title="Reviewed and protected source",
    description=(
        "One person must not be able to put code into a release unseen. The source platform's verification summary of "
        "the very commit that was built says which protections and reviews were enforced; it counts only when trusted "
        "provenance of this digest names the same repository and commit."
    ),
    success="was built from reviewed and protected source",
    failure="needs reviewed and protected source",
    remedy="the developer asks a second person to review the change on a protected branch; the pipeline builds the "
    "merged commit: signer sign --evidence PROVENANCE --evidence SOURCE-VSA",
    supply="the source platform's owner attaches the source VSA of the commit that was built: "
    "signer evidence add SOURCE-VSA",
    evidence="Source VSA (SLSA 1.2) for repository and commit of the trusted provenance, by an accepted collector; "
    "attested only.",
    parameters=(
        Parameter(
            name="collectors",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of collectors",
            required=True,
            meaning="the trusted signers of source VSAs that are accepted",
        ),
        Parameter(
            name="atLeast",
            sense=Sense(kind=Kind.LEAST, order=SOURCE_LEVELS),
            kind="SLSA_SOURCE_LEVEL_1 to SLSA_SOURCE_LEVEL_4",
            required=False,
            meaning="the lowest source level that is accepted",
        ),
        Parameter(
            name="properties",
            sense=Sense(kind=Kind.DEMANDS, absent=()),
            kind="list of properties",
            required=False,
            meaning=f"verified properties that must be stated: {TWO_PARTY} (level 4 includes it) or ORG_SOURCE_…",
        ),
        Parameter(
            name="refs",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_pattern),
            kind="list of patterns",
            required=False,
            meaning="the source VSA must speak for one of these",
        ),
        Parameter(
            name="maxAge",
            sense=Sense(kind=Kind.AGE),
            kind="duration",
            required=False,
            meaning="the VSA must state its time and be no older; without it, defaults.maxEvidenceAge holds for a VSA "
            "that states one",
        ),
    ),
    example="{id: SRC-2, type: source.reviews, control: source, level: better, collectors: [forge], "
    f"atLeast: SLSA_SOURCE_LEVEL_3, properties: [{TWO_PARTY}]}}",
    needs_provenance=True,
    read=_read_reviews,
    require=_require_reviews,
    judge=_judge_reviews,
    ceiling=_ceiling,
)
