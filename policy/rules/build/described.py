# SPDX-License-Identifier: Apache-2.0
"""build.described: what went into the build is told in full: its type, its parameters, its dependencies by digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policy.decision import Offender
from policy.facts import Provenance
from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import Case, Parameter, RuleType
from policy.rules.build.provenance import foreign_parameters, no_trusted_provenance, parameters_effort, read_parameters
from policy.schema import Section
from policy.sense import Kind, Sense, covers_name
from policy.trust import Trust
from policy.wording import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionDemand:
    """Parameters of build.described."""

    build_types: tuple[str, ...]
    allow: tuple[str, ...]
    min_dependencies: int


def _read_described(section: Section, _: Trust) -> DescriptionDemand:
    return DescriptionDemand(
        build_types=section.words("buildTypes"),
        allow=read_parameters(section),
        min_dependencies=section.integer("minDependencies", least=1, default=1),
    )


def _require_described(demand: DescriptionDemand) -> str:
    parameters = f"no external parameter but {', '.join(demand.allow)}" if demand.allow else "no external parameter"
    return (
        f"build type {' or '.join(map(quote, demand.build_types))}; {parameters}; at least {demand.min_dependencies} "
        "resolved dependencies, each with a digest"
    )


def _judge_described(demand: DescriptionDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None:
        return no_trusted_provenance(case, case.trust.builders)
    found = (
        f"build type {quote(item.build_type)}, {item.dependencies} resolved dependencies, "
        f"{item.undigested} of them without a digest"
    )
    faults = tuple(_faults(demand, item))
    if faults:
        return failed(listed(faults), [item], found=found, offenders=_offenders(demand, item))
    if item.dependencies < demand.min_dependencies:
        return unknown(
            f"the provenance lists {item.dependencies} resolved dependencies", [item], found=found, bound="subject"
        )
    return passed([item], found=found)


def _faults(demand: DescriptionDemand, item: Provenance) -> Iterator[str]:
    if item.build_type not in demand.build_types:
        yield f"the build type {quote(item.build_type)} is not known"
    foreign = foreign_parameters(item, demand.allow)
    if foreign:
        yield f"external parameters outside the list: {listed(map(quote, foreign))}"
    if item.undigested:
        yield f"{item.undigested} resolved dependencies carry no digest"


def _offenders(demand: DescriptionDemand, item: Provenance) -> tuple[Offender, ...]:
    """Each fault by its name; none when a dependency has none, since a waiver for the rest would hide it."""
    if item.undigested and not item.bare:
        return ()
    known = item.build_type in demand.build_types
    few = item.dependencies < demand.min_dependencies
    return (
        *(() if known else (Offender(id=f"build type {item.build_type}"),)),
        *(Offender(id=f"parameter {name}") for name in foreign_parameters(item, demand.allow)),
        *(Offender(id=f"dependency {name}") for name in item.bare),
        *((Offender(id=f"{item.dependencies} dependencies"),) if few else ()),
    )


DESCRIBED = RuleType(
    code="build.described",
    control="build",
    title="A build described in full",
    description=(
        "What cannot be told of a build cannot be defended later: an unknown build type has parameters that nobody "
        "listed, and a dependency without a digest may have been anything."
    ),
    success="was built as its provenance describes in full",
    failure="needs provenance that describes the build in full",
    remedy="the pipeline's owner lets the builder record every dependency with its digest and builds again: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches provenance that lists the resolved dependencies: "
    "signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only.",
    parameters=(
        Parameter(
            name="buildTypes",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of URIs",
            required=True,
            meaning="the build types whose external parameters are known",
        ),
        Parameter(
            name="parameters.allow",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_name),
            kind="list of names",
            required=True,
            meaning="every external parameter that a build may take, as in build.provenance",
        ),
        Parameter(
            name="minDependencies",
            sense=Sense(kind=Kind.LEAST, least=1, absent=1),
            kind="integer",
            required=False,
            meaning="how many resolved dependencies it lists at least; 1 without it",
        ),
    ),
    example="{id: BLD-5, type: build.described, control: build, level: better, "
    'buildTypes: ["https://actions.github.io/buildtypes/workflow/v1"], '
    "parameters: {allow: [workflow.ref, workflow.repository, workflow.path]}}",
    needs_provenance=True,
    read=_read_described,
    require=_require_described,
    judge=_judge_described,
    effort=parameters_effort,
)
