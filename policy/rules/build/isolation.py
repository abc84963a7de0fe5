# SPDX-License-Identifier: Apache-2.0
"""build.isolation: the class of the builder that the security team states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policy.judgement import Judgement, failed, passed
from policy.rule import Case, Parameter, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import ISOLATION, Trust
from policy.wording import listed

CEILINGS: dict[str, Literal["minimum", "better", "strong"]] = {
    "shared": "minimum",
    "dedicated": "better",
    "ephemeral": "better",
    "hardened": "strong",
}
"""The highest level that a demand for this isolation class may claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationDemand:
    """Parameters of build.isolation."""

    at_least: str
    broad_access: bool
    """Whether a builder with broad access is accepted."""


def _read_isolation(section: Section, _: Trust) -> IsolationDemand:
    return IsolationDemand(
        at_least=section.choice("atLeast", ISOLATION), broad_access=section.boolean("broadAccess", default=True)
    )


def _judge_isolation(demand: IsolationDemand, case: Case) -> Judgement:
    item = case.provenance
    builder = None if item is None else case.trust.builder_of(item)
    if item is None or builder is None:
        return no_trusted_provenance(case, case.trust.builders)
    # The class is what this policy says of the builder, never what the facts or the provenance say.
    found = (
        f"builder {builder.name}, isolation {builder.isolation}, network {builder.network}, "
        f"{'broad' if builder.broad_access else 'no broad'} access"
    )
    faults = []
    if ISOLATION.index(builder.isolation) < ISOLATION.index(demand.at_least):
        faults.append(f"the builder is {builder.isolation}")
    if builder.broad_access and not demand.broad_access:
        faults.append("the builder has broad access")
    return failed(listed(faults), [item], found=found) if faults else passed([item], found=found)


def _require_isolation(demand: IsolationDemand) -> str:
    narrow = "" if demand.broad_access else ", without broad access"
    return f"a builder of isolation {demand.at_least} or better{narrow}"


ISOLATION_CLASS = RuleType(
    code="build.isolation",
    control="build",
    title="Isolation of the builder",
    description=(
        "A build that shares its machine with other work can be changed by that work. The class is what the security "
        "team states of the trusted builder, shared < dedicated < ephemeral < hardened; it is never read from the "
        "provenance. Level better needs dedicated or ephemeral, level strong needs hardened, which means a restricted "
        "network, a workload identity and no broad access. A shared builder is under control when it has no broad "
        "access either: what one job can reach there, every job can reach."
    ),
    success="was built in the required isolation",
    failure="needs a better isolated builder",
    remedy="the pipeline's owner moves the build to a builder of the required class and builds again: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches the builder's provenance of this digest: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only.",
    parameters=(
        Parameter(
            name="atLeast",
            sense=Sense(kind=Kind.LEAST, order=ISOLATION, own=True),
            kind="shared, dedicated, ephemeral or hardened",
            required=True,
            meaning="the weakest class that is accepted",
        ),
        Parameter(
            name="broadAccess",
            sense=Sense(kind=Kind.ALLOWS, absent=True, own=True),
            kind="boolean",
            required=False,
            meaning="whether a builder with broad access to environments is accepted; true without it",
        ),
    ),
    example="{id: BLD-2, type: build.isolation, control: build, level: better, atLeast: ephemeral, broadAccess: false}",
    needs_provenance=True,
    read=_read_isolation,
    require=_require_isolation,
    judge=_judge_isolation,
    ceiling=lambda demand: CEILINGS[demand.at_least],
)
