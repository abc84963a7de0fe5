# SPDX-License-Identifier: Apache-2.0
"""build.pinned: the definition of the build stands at a commit or digest, and not at a name that moves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import Case, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.trust import Trust
from policy.wording import quote

_FIXED: Final = re.compile(r"[0-9a-f]{40}|(?:sha256:)?[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinDemand:
    """build.pinned has no parameters."""


def _read_pinned(_section: Section, _trust: Trust) -> PinDemand:
    return PinDemand()


def _judge_pinned(_demand: PinDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None:
        return no_trusted_provenance(case, case.trust.builders)
    if item.definition is None:
        return unknown(
            "the provenance does not say at which commit its workflow stands",
            [item],
            found=f"provenance by {item.builder}",
            bound="subject",
        )
    found = f"the workflow stands at {quote(item.definition)}"
    if _FIXED.fullmatch(item.definition) is None:
        return failed(f"the workflow stands at {quote(item.definition)}, which can move", [item], found=found)
    return passed([item], found=found)


PINNED = RuleType(
    code="build.pinned",
    control="build",
    title="A workflow pinned by its commit",
    description=(
        "A reusable workflow at a branch or tag can be replaced between two builds without a change of the source. A "
        "workflow of the source repository itself stands at the commit that was built; any other one must be named by "
        "its commit or digest."
    ),
    success="was built by a workflow that stands at a commit",
    failure="needs a workflow that stands at a commit",
    remedy="the pipeline's owner calls the workflow as PATH@COMMIT and builds again: signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches provenance that names the workflow's commit: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only. The commit is what "
    "follows the last `@` of a builder id that is a workflow, the revision of a Tekton pipeline reference, or else the "
    "commit that was built, where the workflow lies in the source repository.",
    parameters=(),
    example="{id: BLD-4, type: build.pinned, control: build, level: strong}",
    needs_provenance=True,
    read=_read_pinned,
    require=lambda _: (
        "a workflow named by its commit or digest, or that of the source repository at the commit that was built"
    ),
    judge=_judge_pinned,
)
