# SPDX-License-Identifier: Apache-2.0
"""Rules of the source control: from which repository and ref, and under which review."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from policy.decision import Outcome
from policy.facts import Provenance, SourceSummary
from policy.identity import foreign, signature
from policy.patterns import matches
from policy.rule import Case, Judgement, Parameter, RuleType, failed, passed, unknown
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.sense import Kind, Sense, covers_pattern
from policy.trust import Collector, Trust
from policy.wording import listed, quote, span

TWO_PARTY: Final = "SLSA_SOURCE_TWO_PARTY_REVIEWED"
SOURCE_LEVELS: Final = ("SLSA_SOURCE_LEVEL_1", "SLSA_SOURCE_LEVEL_2", "SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_4")

_PROPERTY = re.compile(r"(?:SLSA_SOURCE_TWO_PARTY_REVIEWED|ORG_SOURCE_[A-Z0-9_]+)")


def source_level(item: SourceSummary) -> int:
    """The source level that the VSA states; 0 when none, the lowest when it breaks the rule of one per track."""
    stated = [SOURCE_LEVELS.index(level) + 1 for level in item.levels if level in SOURCE_LEVELS]
    return min(stated, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefDemand:
    """Parameters of source.ref."""

    repositories: tuple[str, ...]
    refs: tuple[str, ...]


def _read_ref(section: Section, _: Trust) -> RefDemand:
    return RefDemand(repositories=section.patterns("repositories"), refs=section.patterns("refs", prefix="refs/"))


def _judge_ref(demand: RefDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None:
        return no_trusted_provenance(case, case.trust.builders)
    shown = [
        f"{name} {'not stated' if value is None else quote(value)}"
        for name, value in (("repository", item.repository), ("ref", item.ref))
    ]
    found = ", ".join(shown)
    differing = [
        f"the {name} {quote(value)} differs"
        for name, value, patterns in (
            ("repository", item.repository, demand.repositories),
            ("ref", item.ref, demand.refs),
        )
        if value is not None and not any(matches(pattern, value) for pattern in patterns)
    ]
    if differing:
        return failed(listed(differing), [item], found=found)
    if item.repository is None or item.ref is None:
        return unknown("the provenance does not name its repository and ref", [item], found=found, bound="subject")
    return passed([item], found=found)


REF = RuleType(
    code="source.ref",
    control="source",
    title="Source repository and ref",
    description=(
        "A trusted builder builds whatever it is pointed at: a fork, a personal branch, an old tag. Only the named "
        "repositories and refs are released."
    ),
    success="was built from an accepted repository and ref",
    failure="needs a build from an accepted repository and ref",
    remedy="the developer merges the change to an accepted ref of the repository; the pipeline builds it there: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches provenance that names repository and ref: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only.",
    parameters=(
        Parameter(
            name="repositories",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_pattern),
            kind="list of patterns",
            required=True,
            meaning="accepted repositories, host/owner/name without scheme",
        ),
        Parameter(
            name="refs",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_pattern),
            kind="list of patterns",
            required=True,
            meaning="accepted refs, each from refs/ on",
        ),
    ),
    example="{id: SRC-1, type: source.ref, control: source, level: minimum, "
    'repositories: [github.com/acme/shop], refs: [refs/heads/main, "refs/tags/v*"]}',
    needs_provenance=True,
    read=_read_ref,
    require=lambda demand: f"repository {' or '.join(demand.repositories)}; ref {' or '.join(demand.refs)}",
    judge=_judge_ref,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDemand:
    """Parameters of source.reviews."""

    collectors: tuple[str, ...]
    at_least: str | None
    properties: tuple[str, ...]
    refs: tuple[str, ...]
    max_age: timedelta | None
    uncarried: tuple[str, ...]
    """Demands in words that no source VSA can answer."""


def _read_reviews(section: Section, trust: Trust) -> ReviewDemand:
    uncarried: list[str] = []
    if section.has("min"):
        uncarried.append(f"that {section.integer('min', least=1)} independent reviewers approved")
    if section.has("onHeadCommit") and section.boolean("onHeadCommit"):
        uncarried.append("that the review was of the head commit")
    if section.has("authorMayApprove") and not section.boolean("authorMayApprove"):
        uncarried.append("who the authors are")
    demand = ReviewDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        at_least=section.choice("atLeast", SOURCE_LEVELS) if section.has("atLeast") else None,
        properties=section.words("properties") if section.has("properties") else (),
        refs=section.patterns("refs", prefix="refs/") if section.has("refs") else (),
        max_age=section.duration("maxAge"),
        uncarried=tuple(uncarried),
    )
    for name in demand.properties:
        if _PROPERTY.fullmatch(name) is None:
            raise section.refuse(
                "properties",
                f"{quote(name)} is no verified property",
                remedy=f"write {TWO_PARTY} or a property ORG_SOURCE_…; levels belong to atLeast",
            )
    if demand.at_least is None and not demand.properties and not demand.uncarried:
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
    parts.extend(f"evidence {part}" for part in demand.uncarried)
    return "; ".join(parts)


def _judge_reviews(demand: ReviewDemand, case: Case) -> Judgement:
    provenance = case.provenance
    if provenance is None:
        return no_trusted_provenance(case, case.trust.builders)
    if provenance.repository is None or provenance.commit is None:
        return unknown(
            "the provenance does not name repository and commit, so no source attestation joins",
            [provenance],
            found=f"provenance by {provenance.builder}",
            bound="subject",
        )
    # The one source join (I2): both halves equal, for the provenance that every other rule is judged on.
    joined = [
        item
        for item in case.evidence.sources
        if item.repository == provenance.repository and item.commit == provenance.commit
    ]
    if not joined:
        return unknown(f"no source attestation for commit {quote(provenance.commit)} of {quote(provenance.repository)}")
    accepted = [case.trust.collectors[name] for name in demand.collectors]
    trusted = [item for item in joined if any(collector.made(item) for collector in accepted)]
    if not trusted:
        return _no_collector(joined, accepted)
    # One satisfying item is enough; else the one that comes nearest is the one to tell the developer about.
    return min((_judge_summary(demand, item, provenance, case) for item in trusted), key=_distance)


def _no_collector(joined: list[SourceSummary], accepted: list[Collector]) -> Judgement:
    def difference(item: SourceSummary) -> str:
        if any(collector.key == item.origin.key for collector in accepted):
            return "the key is trusted, the verifier id differs"
        if any(collector.verifier == item.verifier for collector in accepted):
            signers = (collector.signer for collector in accepted)
            return foreign([item.origin], signers, "the verifier id is trusted, the key differs")
        return foreign([item.origin], (entry.signer for entry in accepted), "the key and the verifier id differ")

    found = dict.fromkeys(f"verifier {quote(item.verifier)} {signature(item.origin)}" for item in joined)
    causes = dict.fromkeys(map(difference, joined))
    return failed(listed(causes), joined, found=listed(found), bound="source")


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
    if demand.at_least is not None and level < SOURCE_LEVELS.index(demand.at_least) + 1:
        yield f"the source level is {level}" if level else "no source level is stated"
    for name in demand.properties:
        # Level 4 is two-party review (SLSA 1.2, source requirements).
        if name not in item.levels and not (name == TWO_PARTY and level == len(SOURCE_LEVELS)):
            yield f"{name} is not stated"
    if demand.refs and item.refs and not any(matches(pattern, ref) for pattern in demand.refs for ref in item.refs):
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
    yield from demand.uncarried


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
        Parameter(
            name="min",
            sense=Sense(kind=Kind.LEAST, least=1),
            kind="integer",
            required=False,
            meaning="number of independent reviewers; a source VSA cannot say it, so the rule ends unknown",
        ),
        Parameter(
            name="onHeadCommit",
            sense=Sense(kind=Kind.INSISTS, absent=False),
            kind="boolean",
            required=False,
            meaning="the head commit itself was reviewed; a source VSA cannot say it, so the rule ends unknown",
        ),
        Parameter(
            name="authorMayApprove",
            sense=Sense(kind=Kind.ALLOWS, absent=True),
            kind="boolean",
            required=False,
            meaning="false: no author counts as reviewer; a source VSA cannot say it, so the rule ends unknown",
        ),
    ),
    example="{id: SRC-2, type: source.reviews, control: source, level: better, collectors: [forge], "
    f"atLeast: SLSA_SOURCE_LEVEL_3, properties: [{TWO_PARTY}]}}",
    needs_provenance=True,
    read=_read_reviews,
    require=_require_reviews,
    judge=_judge_reviews,
)
