# SPDX-License-Identifier: Apache-2.0
"""source.ref: from which repository and ref the release was built."""

from __future__ import annotations

from dataclasses import dataclass

from policy.judgement import Judgement, failed, passed, unknown
from policy.patterns import matches_any
from policy.rule import Case, Parameter, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.sense import Kind, Sense, covers_pattern
from policy.trust import Trust
from policy.wording import listed, quote


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
        if value is not None and not matches_any(patterns, value)
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
    ceiling=lambda _: "minimum",
)
