# SPDX-License-Identifier: Apache-2.0
"""build.provenance: an expected builder made the artifact, in an expected kind of build, with expected inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from policy.facts import EvidenceFacts, Provenance
from policy.identity import signature
from policy.judgement import Judgement, failed, passed, unknown
from policy.patterns import matches_any
from policy.rule import Case, Parameter, RuleType
from policy.schema import Section
from policy.sense import Kind, Sense, covers_name, covers_pattern
from policy.trust import Trust
from policy.wording import listed, quote, span


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceDemand:
    """Parameters of build.provenance."""

    builders: tuple[str, ...]
    build_types: tuple[str, ...]
    allow: tuple[str, ...]
    workflows: tuple[str, ...]
    max_age: timedelta | None


class Allows(Protocol):
    """Parameters of a rule with a list of external parameters."""

    @property
    def allow(self) -> tuple[str, ...]:
        """The list."""


def no_trusted_provenance(case: Case, accepted: Iterable[str]) -> Judgement:
    """The judgement when no provenance of the subject is by an accepted builder: absent or another's."""
    items = case.evidence.provenance
    if not items:
        return unknown("no verified provenance of this digest")
    names = tuple(accepted)
    differences = dict.fromkeys(case.trust.difference(item, names) for item in items)
    found = dict.fromkeys(f"builder id {quote(item.builder_id)} {signature(item.origin)}" for item in items)
    return failed(listed(differences), items, found=listed(found))


def read_parameters(section: Section) -> tuple[str, ...]:
    """The exhaustive list under `parameters.allow`; raises PolicyError."""
    parameters = section.section("parameters")
    allow = parameters.take("allow")
    if not isinstance(allow, list) or not all(isinstance(name, str) and name for name in allow):
        raise parameters.refuse(
            "allow", "must list names of external parameters", remedy="write [] to allow none, or their dotted names"
        )
    for name in allow:
        if "*" in name.removesuffix(".*"):
            raise parameters.refuse(
                "allow", f"{quote(name)} is no parameter name", remedy="write the name, or name.* for all below it"
            )
    parameters.close()
    return tuple(allow)


def foreign_parameters(item: Provenance, allow: tuple[str, ...]) -> list[str]:
    """Names of external parameters that the list does not hold."""
    unlisted = [name for name in item.parameters if name not in allow]
    if not unlisted:
        return []
    below = tuple(entry.removesuffix("*") for entry in allow if entry.endswith(".*"))
    return [name for name in unlisted if not name.startswith(below)]


def parameters_effort(demand: Allows, evidence: EvidenceFacts) -> int:
    """The work of a rule that holds external parameters against its list (`RuleType.effort`)."""
    return 1 + sum([len(item.parameters) for item in evidence.provenance]) * len(demand.allow) // 256


def _read_provenance(section: Section, trust: Trust) -> ProvenanceDemand:
    return ProvenanceDemand(
        builders=section.references("builders", trust.builders, what="builder"),
        build_types=section.words("buildTypes"),
        allow=read_parameters(section),
        workflows=section.patterns("workflows") if section.has("workflows") else (),
        max_age=section.duration("maxAge"),
    )


def _require_provenance(demand: ProvenanceDemand) -> str:
    parts = [
        f"provenance by {' or '.join(demand.builders)}",
        f"build type {' or '.join(map(quote, demand.build_types))}",
        f"no external parameter but {', '.join(demand.allow)}" if demand.allow else "no external parameter",
    ]
    if demand.workflows:
        parts.append(f"workflow {' or '.join(demand.workflows)}")
    if demand.max_age is not None:
        parts.append(f"at most {span(demand.max_age)} old")
    return "; ".join(parts)


def _judge_provenance(demand: ProvenanceDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None or item.builder not in demand.builders:
        return no_trusted_provenance(case, demand.builders)
    found = f"provenance by {item.builder}, build type {quote(item.build_type)}"
    faults = tuple(_provenance_faults(demand, item, case))
    if faults:
        return failed(listed(faults), [item], found=found)
    if demand.workflows and item.workflow is None:
        return unknown("the provenance does not name its workflow", [item], found=found, bound="subject")
    if demand.max_age is not None and item.finished is None and item.started is None:
        return unknown("the provenance does not say when the build ran", [item], found=found, bound="subject")
    return passed([item], found=found)


def _provenance_faults(demand: ProvenanceDemand, item: Provenance, case: Case) -> Iterator[str]:
    if item.build_type not in demand.build_types:
        yield f"the build type {quote(item.build_type)} differs"
    if demand.workflows and item.workflow is not None and not matches_any(demand.workflows, item.workflow):
        yield f"the workflow {quote(item.workflow)} differs"
    foreign = foreign_parameters(item, demand.allow)
    if foreign:
        yield f"external parameters outside the list: {listed(map(quote, foreign))}"
    # What a builder states of its times is always held against the clock; that it states them only with maxAge.
    at = item.finished or item.started
    fault = None if at is None else case.age_fault(at, most=demand.max_age)
    if fault is not None:
        yield f"the build {fault}"


PROVENANCE = RuleType(
    code="build.provenance",
    control="build",
    title="Provenance by a trusted builder",
    description=(
        "Only an expected build platform, running an expected kind of build with expected inputs, may have made the "
        "artifact. A builder is a pair of key and builder id; an external parameter that the list does not name could "
        "change what was built, so the list is exhaustive."
    ),
    success="has provenance by a trusted builder",
    failure="needs provenance by a trusted builder",
    remedy="the pipeline's owner builds this digest with an accepted builder, type and workflow, then asks again: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches the builder's provenance of this digest: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest; attested only.",
    parameters=(
        Parameter(
            name="builders",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of builders",
            required=True,
            meaning="the trusted builders that are accepted",
        ),
        Parameter(
            name="buildTypes",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of URIs",
            required=True,
            meaning="the build types that are accepted",
        ),
        Parameter(
            name="parameters.allow",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_name),
            kind="list of names",
            required=True,
            meaning="every external parameter that a build may take, dotted; `inputs.*` means all below inputs; "
            "`[]` means none",
        ),
        Parameter(
            name="workflows",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_pattern),
            kind="list of patterns",
            required=False,
            meaning="paths of the workflow definition inside the source repository",
        ),
        Parameter(
            name="maxAge",
            sense=Sense(kind=Kind.AGE),
            kind="duration",
            required=False,
            meaning="the build must say when it ran and be no older; without it, defaults.maxEvidenceAge holds for "
            "provenance that says so",
        ),
    ),
    example="{id: BLD-1, type: build.provenance, control: build, level: minimum, builders: [ci], "
    'buildTypes: ["https://actions.github.io/buildtypes/workflow/v1"], '
    "parameters: {allow: [workflow.ref, workflow.repository, workflow.path]}, "
    "workflows: [.github/workflows/release.yml]}",
    needs_provenance=True,
    read=_read_provenance,
    require=_require_provenance,
    judge=_judge_provenance,
    effort=parameters_effort,
)
